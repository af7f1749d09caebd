"use strict";
// Makes buttons of the placeholders and event types that the page lists: a click puts them at the
// cursor. Without this script they are there to be copied.
document.addEventListener("DOMContentLoaded", () => {
    function insert(area, text) {
        area.focus();
        // Unlike a new value, this can be undone.
        if (!document.execCommand("insertText", false, text)) {
            area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
            area.dispatchEvent(new Event("input", {bubbles: true}));
        }
    }

    function isInString(text) {
        let inside = false;
        for (let at = 0; at < text.length; at += 1) {
            if (inside && text[at] === "\\") {
                at += 1;
            } else if (text[at] === '"') {
                inside = !inside;
            }
        }
        return inside;
    }

    // A placeholder needs quotes around it.
    function insertPlaceholder(area, text) {
        const inside = isInString(area.value.slice(0, area.selectionStart));
        insert(area, inside ? text : `"${text}"`);
    }

    function insertLine(area, text) {
        area.setSelectionRange(area.value.length, area.value.length);
        insert(area, area.value === "" || area.value.endsWith("\n") ? text : `\n${text}`);
    }

    for (const list of document.querySelectorAll("[data-auditwebhooks-insert]")) {
        const area = document.getElementById(list.dataset.auditwebhooksInsert);
        const put = "auditwebhooksLine" in list.dataset ? insertLine : insertPlaceholder;
        for (const code of list.querySelectorAll("code")) {
            const button = document.createElement("button");
            button.type = "button";
            button.className = "auditwebhooks-insert";
            code.replaceWith(button);
            button.append(code);
            button.addEventListener("click", () => put(area, code.textContent));
        }
        const previous = list.querySelector("[data-auditwebhooks-previous]");
        previous?.closest("label").removeAttribute("hidden");
        previous?.addEventListener("change", () => {
            const [from, to] = previous.checked
                ? ["{{data.current_target_object.", "{{data.previous_target_object."]
                : ["{{data.previous_target_object.", "{{data.current_target_object."];
            for (const code of list.querySelectorAll("details code")) {
                code.textContent = code.textContent.replace(from, to);
            }
        });
    }
});
