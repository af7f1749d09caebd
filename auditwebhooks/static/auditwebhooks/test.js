"use strict";
// Sends a test with the values of the form and shows the result without leaving the page, so that
// typed secrets stay where they are. Without this script the button posts the form.
document.addEventListener("DOMContentLoaded", () => {
    const row = document.querySelector("[data-auditwebhooks-test]");
    if (row === null) {
        return;
    }
    const button = row.querySelector("button");
    const result = document.getElementById("auditwebhooks-result");

    function say(text) {
        const line = document.createElement("div");
        line.className = "errornote";
        line.textContent = text;
        result.replaceChildren(line);
        return line;
    }

    function showErrors(errors) {
        const note = say(row.dataset.invalid);
        for (const [field, messages] of Object.entries(errors)) {
            const line = document.createElement("div");
            line.textContent = `${field}: ${messages.join(" ")}`;
            note.append(line);
        }
    }

    async function test() {
        const answer = await fetch(button.formAction, {
            method: "POST",
            headers: {Accept: "application/json"},
            body: new FormData(button.form),
        });
        if (!answer.ok || !answer.headers.get("Content-Type").includes("application/json")) {
            throw new Error(answer.status);
        }
        const data = await answer.json();
        if (data.html) {
            // Made by the server's own template, which escapes every value.
            result.innerHTML = data.html;
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
        } catch {
            say(row.dataset.failed);
        } finally {
            button.disabled = false;
            result.scrollIntoView({block: "nearest"});
        }
    });
});
