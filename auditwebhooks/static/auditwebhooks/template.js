"use strict";
// Shows while one types what the body template makes of an event, formats it, and leads to the
// place of an error. Without this script the buttons post the form.
document.addEventListener("DOMContentLoaded", () => {
    const PAUSE = 300;

    for (const editor of document.querySelectorAll("[data-auditwebhooks-template]")) {
        const url = editor.dataset.auditwebhooksTemplate;
        const area = editor.querySelector("textarea");
        const error = editor.querySelector("[data-auditwebhooks-error]");
        const place = editor.querySelector("[data-auditwebhooks-place]");
        const body = editor.querySelector("[data-auditwebhooks-body]");
        // The form's own list, where that tells the error of the text as it was sent.
        let told = document.getElementById(editor.dataset.told ?? "");
        const choices = [...editor.querySelectorAll(".auditwebhooks-choice [name]")];
        const names = [area.name, ...choices.map((input) => input.name)];
        let timer = 0;
        let asked = null;

        function show(data) {
            // From now on the text is judged as it is typed.
            told?.closest(".errors")?.classList.remove("errors");
            told?.remove();
            told = null;
            error.textContent = data.error;
            place.dataset.line = data.line ?? "";
            place.dataset.column = data.column ?? "";
            if (!data.error) {
                // Made by the server's own template, which escapes every value.
                body.innerHTML = data.html;
            }
            mark();
        }

        function mark() {
            const wrong = told !== null || error.textContent !== "";
            place.hidden = place.dataset.line === "";
            area.setAttribute("aria-invalid", String(wrong));
            // What the text made before.
            body.classList.toggle("auditwebhooks-stale", wrong);
        }

        async function ask(extra = {}) {
            clearTimeout(timer);
            // The answer for an older text must not come last.
            asked?.abort();
            const current = new AbortController();
            asked = current;
            try {
                const data = await window.auditwebhooks.post(
                    url, area.form, {names, extra, signal: current.signal}
                );
                show(data);
                return data;
            } catch (reason) {
                if (reason.name !== "AbortError") {
                    place.dataset.line = "";
                    const words = editor.dataset.failed;
                    window.auditwebhooks.complain(error, reason, words, area.form);
                    mark();
                }
                return null;
            }
        }

        function askSoon() {
            clearTimeout(timer);
            timer = setTimeout(ask, PAUSE);
        }

        // Columns count characters, of which some are two to the browser.
        function goTo(line, column) {
            const lines = area.value.split("\n");
            const before = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
            const inLine = [...(lines[line - 1] ?? "")];
            const start = before + inLine.slice(0, column - 1).join("").length;
            area.focus();
            area.setSelectionRange(start, start + (inLine[column - 1] ?? "").length);
            const height = area.scrollHeight / lines.length;
            area.scrollTop = Math.max(0, (line - 3) * height);
        }

        async function format() {
            const typed = area.value;
            const data = await ask({_format: "1"});
            if (data === null || area.value !== typed) {
                return;
            }
            if (data.line) {
                goTo(data.line, data.column);
            } else if (data.text !== typed) {
                area.focus();
                area.select();
                // Unlike a new value, this can be undone.
                if (!document.execCommand("insertText", false, data.text)) {
                    area.value = data.text;
                }
                area.setSelectionRange(0, 0);
                area.scrollTop = 0;
            }
        }

        editor.querySelector("[name=_preview]").hidden = true;
        editor.querySelector("[name=_format]").addEventListener("click", (event) => {
            event.preventDefault();
            format();
        });
        place.addEventListener("click", () => {
            goTo(Number(place.dataset.line), Number(place.dataset.column));
        });
        area.addEventListener("input", askSoon);
        for (const choice of choices) {
            choice.addEventListener("input", askSoon);
        }
        mark();
    }
});
