// The globals that scripts of A1111 extensions use. Plain functions and vars, since extensions replace some of them.
window.atelier = window.atelier || {};

var opts = {};
var localization = window.localization || {};
var titles = {};
var hints = titles;
var uiUpdateCallbacks = [];
var uiAfterUpdateCallbacks = [];
var uiLoadedCallbacks = [];
var uiTabChangeCallbacks = [];
var optionsChangedCallbacks = [];
var optionsAvailableCallbacks = [];
var uiCurrentTab = null;
var activePromptTextarea = {};

function gradioApp() {
    const elements = document.getElementsByTagName("gradio-app");
    const root = elements.length ? elements[0] : document;
    if (root !== document) root.getElementById = (id) => document.getElementById(id);
    return root.shadowRoot ? root.shadowRoot : root;
}

function onUiUpdate(callback) { uiUpdateCallbacks.push(callback); }
function onAfterUiUpdate(callback) { uiAfterUpdateCallbacks.push(callback); }
function onUiLoaded(callback) {
    uiLoadedCallbacks.push(callback);
    // Who comes late, such as a module, is called at once.
    if (window.atelier.loadedAt) executeCallbacks([callback]);
}
function onUiTabChange(callback) { uiTabChangeCallbacks.push(callback); }
function onOptionsChanged(callback) { optionsChangedCallbacks.push(callback); }
function onOptionsAvailable(callback) {
    if (Object.keys(opts).length) callback();
    else optionsAvailableCallbacks.push(callback);
}

function executeCallbacks(queue, argument) {
    for (const callback of queue) {
        try {
            callback(argument);
        } catch (error) {
            console.error("A script of the page failed:", callback, error);
        }
    }
}

function updateInput(target) {
    const event = new Event("input", {bubbles: true});
    Object.defineProperty(event, "target", {value: target});
    target.dispatchEvent(event);
}

function localSet(key, value) {
    try { localStorage.setItem(key, value); } catch (error) { console.warn("cannot keep", key, error); }
}
function localGet(key, fallback) {
    const found = localStorage.getItem(key);
    return found === null ? fallback : found;
}
function localRemove(key) { localStorage.removeItem(key); }

function getTranslation(text) { return localization[text]; }
function hasLocalization() { return Object.keys(localization).length > 0; }

function formatTime(seconds) {
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    if (seconds > 3600) return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
    return seconds > 60 ? `${two(seconds / 60)}:${two(seconds % 60)}` : `${Math.floor(seconds)}s`;
}
function setTitle(progress) {
    document.title = progress ? `[${String(progress).trim()}] Atelier` : "Atelier";
}
function randomId() {
    const letters = "0123456789abcdefghijklmnopqrstuvwxyz";
    return "task(" + Array.from({length: 15}, () => letters[Math.floor(Math.random() * 36)]).join("") + ")";
}

function request(url, data, handler, onError) {
    fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(data)})
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer)))
        .then(handler, onError);
}
function requestGet(url, data, handler, onError) {
    const query = new URLSearchParams(data).toString();
    fetch(query ? `${url}?${query}` : url)
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer)))
        .then(handler, onError);
}

function uiElementIsVisible(element) {
    return Boolean(element) && element.getClientRects().length > 0 && getComputedStyle(element).visibility !== "hidden";
}
function uiElementInSight(element) {
    const box = element.getBoundingClientRect();
    return box.bottom > 0 && box.top < window.innerHeight;
}
function onEdit(editId, element, afterMs, action) {
    let timer = null;
    element.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(action, afterMs);
    });
}

function get_uiCurrentTab() {
    return gradioApp().querySelector("#tabs > .tab-wrapper .tab-container[role=tablist] button[aria-selected=true]");
}
function get_uiCurrentTabContent() {
    return [...gradioApp().querySelectorAll("#tabs > .tabitem[id^=tab_]")].find(uiElementIsVisible) || null;
}

// What Gradio 3 called things, mirrored onto what they are called now, so that selectors of extensions go on matching.
function dressAsGradio3(root) {
    for (const bar of root.querySelectorAll(".tab-wrapper .tab-container[role=tablist]:not(.tab-nav)")) bar.classList.add("tab-nav");
    for (const button of root.querySelectorAll(".tab-nav > button")) {
        button.classList.toggle("selected", button.getAttribute("aria-selected") === "true");
    }
    for (const button of root.querySelectorAll("button:not([data-dressed])")) {
        button.dataset.dressed = "1";
        for (const node of button.childNodes) if (node.nodeType === Node.TEXT_NODE && !node.data.trim()) node.data = "";
    }
}

(function () {
    let records = [];
    let waiting = false;
    let after = null;
    let loaded = false;

    // Fired after the frame in which Gradio has finished its own changes, never in the middle of them.
    function flush() {
        if (!waiting) return;
        waiting = false;
        const seen = records;
        records = [];
        dressAsGradio3(gradioApp());
        executeCallbacks(uiUpdateCallbacks, seen);
        clearTimeout(after);
        after = setTimeout(() => executeCallbacks(uiAfterUpdateCallbacks), 200);
        const tab = get_uiCurrentTab();
        if (tab && tab !== uiCurrentTab) {
            uiCurrentTab = tab;
            executeCallbacks(uiTabChangeCallbacks);
        }
        // Kinds of components arrive one after another; the last element of the page tells that all are there.
        const wanted = document.getElementById("tab_txt2img") ? "#txt2img_prompt textarea" : "#tabs";
        if (!loaded && window.atelier.scriptsLoaded && document.getElementById("atelier-titles") && gradioApp().querySelector(wanted)) {
            loaded = true;
            loadOptions().finally(() => {
                window.atelier.loadedAt = performance.now();
                executeCallbacks(uiLoadedCallbacks);
            });
        }
    }

    async function loadOptions() {
        const wait = new Promise((resolve) => setTimeout(resolve, 4000));
        await Promise.race([window.atelier.settings.reload(), wait]);
    }

    function soon() {
        if (waiting) return;
        waiting = true;
        // A page that is covered or in the background gets no frames, but must go on working.
        requestAnimationFrame(flush);
        setTimeout(flush, 120);
    }

    document.addEventListener("atelier:scripts", soon);
    new MutationObserver((found) => {
        records.push(...found);
        soon();
    }).observe(document, {childList: true, subtree: true, attributes: true, attributeFilter: ["aria-selected"]});
})();
