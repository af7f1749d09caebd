"use strict";
// Adds rows to the header and validator tables. Without this script the page offers one empty row.
document.addEventListener("DOMContentLoaded", () => {
    for (const rows of document.querySelectorAll("[data-auditwebhooks-rows]")) {
        const button = rows.querySelector("[data-auditwebhooks-add]");
        const template = rows.querySelector("template");
        button.hidden = false;
        button.addEventListener("click", () => {
            const number = rows.querySelectorAll(".auditwebhooks-row").length;
            const row = template.content.firstElementChild.cloneNode(true);
            for (const input of row.querySelectorAll("[name]")) {
                input.name = input.name.replace("__number__", number);
            }
            template.before(row);
            row.dispatchEvent(new CustomEvent("auditwebhooks:row", {bubbles: true}));
            row.querySelector("input").focus();
        });
    }
});
