"use strict";
// Shows each delivery as it arrives. Everything in it is a stranger's text: it is only ever set as
// text, never as HTML.

const KEPT = 200;
const SIGNATURES = {
    verified: "signature verified",
    wrong: "signature wrong",
    missing: "signature missing",
};

const state = document.getElementById("state");
const nothing = document.getElementById("nothing");
const deliveries = document.getElementById("deliveries");
const template = document.getElementById("delivery");

function showTime(element, seconds) {
    const moment = new Date(seconds * 1000);
    element.dateTime = moment.toISOString();
    element.textContent = moment.toLocaleString();
}

function showHeaders(list, headers) {
    for (const [name, value] of headers) {
        const term = document.createElement("dt");
        const meaning = document.createElement("dd");
        term.textContent = name;
        meaning.textContent = value;
        list.append(term, meaning);
    }
}

// The webhook's body template is the user's own, so any part of it may be missing.
function readBody(text) {
    try {
        return JSON.parse(text) ?? {};
    } catch {
        return {};
    }
}

function sentence(data) {
    const who = data.actor_name;
    const target = [data.target_type, data.target_name].filter(Boolean).join(" ");
    if (!who || !data.action || !target) {
        return "";
    }
    const fields = data.metadata?.changed_fields ?? [];
    const changed = Array.isArray(fields) && fields.length ? ` (${fields.join(", ")})` : "";
    return `${who}: ${data.action} ${target}${changed}`;
}

function element(delivery) {
    const article = template.content.firstElementChild.cloneNode(true);
    const part = (selector) => article.querySelector(selector);
    const body = readBody(delivery.body);
    part(".title").textContent = body.event_type ?? "Delivery";
    part(".signature").textContent = SIGNATURES[delivery.signature] ?? delivery.signature;
    part(".signature").dataset.signature = delivery.signature;
    part(".sentence").textContent = sentence(body.data ?? {});
    part(".line").textContent = `${delivery.method} ${delivery.path}`;
    showTime(part("time"), delivery.received_at);
    showHeaders(part("dl"), delivery.headers);
    part(".body").textContent = delivery.body;
    return article;
}

function show(delivery) {
    deliveries.prepend(element(delivery));
    while (deliveries.children.length > KEPT) {
        deliveries.lastElementChild.remove();
    }
    nothing.hidden = true;
}

const stream = new EventSource("stream");
stream.addEventListener("open", () => {
    // Each connection brings everything that is kept.
    deliveries.replaceChildren();
    nothing.hidden = false;
    state.textContent = "Waiting for deliveries";
    state.dataset.state = "open";
});
stream.addEventListener("message", (message) => show(JSON.parse(message.data)));
stream.addEventListener("error", () => {
    state.textContent = "The receiver does not answer; trying again ...";
    state.dataset.state = "lost";
});
