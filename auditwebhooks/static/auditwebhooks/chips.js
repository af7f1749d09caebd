"use strict";
// Shows the expected values of a validator as chips: Enter adds the one that is typed. The text
// area that they are sent by stays behind them, one value on a line; without this script it is
// what one types into.
document.addEventListener("DOMContentLoaded", () => {
    function start(area) {
        const {remove, add} = area.dataset;
        const label = area.closest("label");
        const box = document.createElement("div");
        box.className = "auditwebhooks-chips";
        const input = document.createElement("input");
        input.type = "text";
        input.autocomplete = "off";
        input.spellcheck = false;
        input.enterKeyHint = "enter";
        input.placeholder = add;
        area.hidden = true;
        // The label belongs to the first of them.
        area.before(input);
        label.after(box);

        // Those that are chips.
        let values = area.value.split("\n").filter((line) => line.trim() !== "");

        // What is typed or pasted; several lines are several values.
        function withTyped(text) {
            const typed = text.split(/\r?\n/).map((one) => one.trim()).filter((one) => one !== "");
            return [...values, ...typed.filter((one) => !values.includes(one))];
        }

        // What is typed is sent, too: who presses Save or Test without Enter means it. It is no chip
        // before Enter: one that appeared when the field is left would move the page while the
        // mouse is down, and the button from under it.
        function send() {
            area.value = withTyped(input.value).join("\n");
        }

        function store(list) {
            values = list;
            send();
            draw();
        }

        function chip(text, number) {
            const one = document.createElement("span");
            one.className = "auditwebhooks-chip";
            const button = document.createElement("button");
            button.type = "button";
            button.textContent = "\u00d7";
            button.setAttribute("aria-label", `${remove} ${text}`);
            button.addEventListener("click", () => {
                store(values.filter((_value, at) => at !== number));
                input.focus();
            });
            one.append(text, button);
            return one;
        }

        function draw() {
            box.replaceChildren(...values.map(chip));
        }

        function take(text) {
            input.value = "";
            store(withTyped(text));
        }

        input.addEventListener("keydown", (event) => {
            if (event.key === "Enter" && !event.isComposing) {
                // Otherwise it saves the form.
                event.preventDefault();
                take(input.value);
            } else if (event.key === "Backspace" && input.value === "") {
                store(values.slice(0, -1));
            }
        });
        input.addEventListener("paste", (event) => {
            const text = event.clipboardData.getData("text");
            if (/\n./.test(text)) {
                event.preventDefault();
                take(input.value + text);
            }
        });
        input.addEventListener("input", send);
        draw();
    }

    for (const area of document.querySelectorAll("[data-auditwebhooks-chips]")) {
        start(area);
    }
    document.addEventListener("auditwebhooks:row", (event) => {
        event.target.querySelectorAll("[data-auditwebhooks-chips]").forEach(start);
    });
});
