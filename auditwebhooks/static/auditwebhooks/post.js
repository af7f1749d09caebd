"use strict";
// Sends the values of a form without leaving the page, so that what was typed stays where it is,
// and says so where the session has ended meanwhile.
window.auditwebhooks = (() => {
    class LoggedOut extends Error {}

    function ask(url, form, {names = null, extra = {}, signal} = {}) {
        const data = new FormData(form);
        if (names !== null) {
            for (const name of [...data.keys()]) {
                if (name !== "csrfmiddlewaretoken" && !names.includes(name)) {
                    data.delete(name);
                }
            }
        }
        for (const [name, value] of Object.entries(extra)) {
            data.set(name, value);
        }
        return fetch(url, {
            method: "POST",
            headers: {Accept: "application/json"},
            body: data,
            // To the page of the log in, which no script could use.
            redirect: "manual",
            signal,
        });
    }

    function checkLogin(answer) {
        if (answer.type === "opaqueredirect" || answer.status === 401) {
            throw new LoggedOut();
        }
    }

    // A log in changes the token, which every page that was made since has.
    async function renewToken(form) {
        const answer = await fetch(form.action, {redirect: "manual"});
        checkLogin(answer);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("[name=csrfmiddlewaretoken]");
        if (fresh !== null) {
            for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) {
                field.value = fresh.value;
            }
        }
    }

    // The JSON of the answer. ``names``: the only fields that are sent; ``extra``: further ones.
    async function post(url, form, options) {
        let answer = await ask(url, form, options);
        if (answer.status === 403) {
            await renewToken(form);
            answer = await ask(url, form, options);
        }
        checkLogin(answer);
        if (!(answer.headers.get("Content-Type") || "").includes("application/json")) {
            throw new Error(String(answer.status));
        }
        return answer.json();
    }

    // Says in ``place`` why there was no answer.
    function complain(place, error, otherwise, form) {
        if (!(error instanceof LoggedOut)) {
            place.textContent = otherwise;
            return;
        }
        const words = document.getElementById("auditwebhooks-words").dataset;
        const link = document.createElement("a");
        // Leads to the log in, and from there to this page.
        link.href = form.action;
        link.target = "_blank";
        link.textContent = words.logIn;
        place.replaceChildren(`${words.loggedOut} `, link, `, ${words.then}`);
    }

    return {post, complain};
})();
