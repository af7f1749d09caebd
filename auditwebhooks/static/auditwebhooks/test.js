"use strict";
// Sends a test with the values of the form and shows the result below it. Without this script the
// button posts the form.
document.addEventListener("DOMContentLoaded", () => {
    const row = document.querySelector("[data-auditwebhooks-test]");
    if (row === null) {
        return;
    }
    const button = row.querySelector("button");
    const result = document.getElementById("auditwebhooks-result");

    function note() {
        const line = document.createElement("div");
        line.className = "errornote";
        result.replaceChildren(line);
        return line;
    }

    function showErrors(errors) {
        const place = note();
        place.textContent = row.dataset.invalid;
        for (const [field, messages] of Object.entries(errors)) {
            const line = document.createElement("div");
            line.textContent = `${field}: ${messages.join(" ")}`;
            place.append(line);
        }
    }

    async function test() {
        const data = await window.auditwebhooks.post(button.formAction, button.form);
        if (data.html) {
            // Made by the server's own template, which escapes every value.
            result.innerHTML = data.html;
        } else if (data.refused) {
            note().textContent = data.refused;
        } else {
            showErrors(data.errors);
        }
    }

    button.addEventListener("click", async (event) => {
        event.preventDefault();
        button.disabled = true;
        result.textContent = row.dataset.sending;
        try {
            await test();
        } catch (error) {
            window.auditwebhooks.complain(note(), error, row.dataset.failed, button.form);
        } finally {
            button.disabled = false;
            result.scrollIntoView({block: "nearest"});
        }
    });
});
