// Talking to the server: JSON in and out, failures with what happened and what to do, and this browser's own name.
window.atelier = window.atelier || {};

class AtelierFailure extends Error {
    constructor(told) {
        super(told.message || "The server gave no reason.");
        this.remedy = told.remedy || "";
        this.code = told.code || "error";
        this.fields = told.fields || {};
    }
}

atelier.api = {
    async ask(method, path, body, type = "application/json") {
        const options = {method, headers: {}};
        if (body !== undefined) {
            options.headers["Content-Type"] = type;
            options.body = type === "application/json" ? JSON.stringify(body) : body;
        }
        let answer;
        try {
            answer = await fetch(new URL(path, document.baseURI), options);
        } catch (error) {
            throw new AtelierFailure({message: "The server does not answer.", remedy: "Is it still running?", code: "offline"});
        }
        const text = await answer.text();
        let told = null;
        try { told = text ? JSON.parse(text) : null; } catch (error) { told = null; }
        if (!answer.ok) throw new AtelierFailure(told && told.message ? told : {message: `The server answered ${answer.status}.`});
        return told;
    },
    get(path) { return this.ask("GET", path); },
    post(path, body = {}) { return this.ask("POST", path, body); },
    put(path, body = {}) { return this.ask("PUT", path, body); },
    // Bytes of a picture file -> {sha256, width, height, media}.
    upload(blob) { return this.ask("POST", "atelier/v1/images", blob, blob.type || "application/octet-stream"); },
    pictureUrl(sha256) { return new URL(`atelier/v1/pictures/${sha256}`, document.baseURI).href; },
};

atelier.client = function () {
    let name = localGet("atelier-client", "");
    if (!name) {
        const bytes = crypto.getRandomValues(new Uint8Array(12));
        name = "page-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
        localSet("atelier-client", name);
    }
    return name;
};

// For events of Gradio whose first input carries what only scripts know.
atelier.wire = function (told = {}, values = [""]) {
    return [JSON.stringify({client: atelier.client(), ...told}), ...values.slice(1)];
};

atelier.jobId = function (kind) {
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const bytes = crypto.getRandomValues(new Uint8Array(10));
    return `${kind}-` + Array.from(bytes, (byte) => letters[byte % letters.length]).join("");
};

atelier.settings = {
    async reload() {
        const told = await atelier.api.get("atelier/v1/settings");
        const first = Object.keys(opts).length === 0;
        opts = told.values;
        // Where A1111 keeps them, for scripts that read them there.
        const text = document.querySelector("#settings_json textarea");
        if (text) text.value = JSON.stringify(opts);
        executeCallbacks(first ? optionsAvailableCallbacks : optionsChangedCallbacks);
        return told;
    },
};

// Waits for an element that Gradio may not have made yet.
atelier.present = function (selector, timeout = 10000) {
    return new Promise((resolve, reject) => {
        const found = document.querySelector(selector);
        if (found) return resolve(found);
        const end = setTimeout(() => { watch.disconnect(); reject(new Error(`no element ${selector}`)); }, timeout);
        const watch = new MutationObserver(() => {
            const now = document.querySelector(selector);
            if (now) { clearTimeout(end); watch.disconnect(); resolve(now); }
        });
        watch.observe(document.body, {childList: true, subtree: true});
    });
};

// Small builder: atelier.make("button.tool", {title: "x", onclick: f}, child, "text").
atelier.make = function (what, attributes = {}, ...children) {
    const [name, ...classes] = what.split(".");
    const element = document.createElement(name || "div");
    if (classes.length) element.className = classes.join(" ");
    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
        else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
};
