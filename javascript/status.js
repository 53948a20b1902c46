// The state of the engine: a small sign at the top right, and the moment at which lists can be filled.
window.atelier = window.atelier || {};

(function () {
    const QUICK = 800;
    const SLOW = 15000;
    const SIZE = "[id$=_width], [id$=_height]";
    const make = atelier.make;

    const status = {
        health: null,
        element: null,
        // The size on the controls was chosen, kept from before, or is the model's own.
        settled: false,
        native: [0, 0],
        loadingJob: "",
        timer: null,

        start() {
            document.addEventListener("input", (event) => {
                if (event.target.closest && event.target.closest(SIZE)) this.settled = true;
            }, true);
            this.poll();
        },

        // A model is on its way, and with it a size of which nobody has thought.
        get waiting() {
            const {engine, model, model_error: error, running, waiting} = this.health || {engine: "starting"};
            const coming = engine === "starting" || (engine === "ready" && (model || running || waiting));
            return !this.settled && !error && Boolean(coming);
        },

        async poll() {
            clearTimeout(this.timer);
            const before = this.health;
            try {
                this.health = await atelier.api.get("atelier/v1/health");
            } catch (error) {
                this.health = {engine: "offline", message: error.message, model: "", model_error: ""};
            }
            this.show();
            const ready = this.health.engine === "ready";
            const was = before && before.engine === "ready";
            if (ready && (!was || before.model !== this.health.model)) this.fill();
            const busy = !ready || this.loadingJob || !this.health.model;
            this.timer = setTimeout(() => this.poll(), busy && !document.hidden ? QUICK : SLOW);
        },

        // Lists of samplers, models and so on, into the controls.
        async fill() {
            (await atelier.present("#refresh_lists")).click();
            atelier.settings.reload();
        },

        // What the event behind that button tells: which tabs take the size of the model.
        wire() {
            atelier.typed.begin("lists");
            const own = (tab) => ["width", "height"].every((side, index) => atelier.getNumber(`${tab}_${side}`) === this.native[index]);
            return atelier.wire({follow: Object.keys(atelier.panels).filter((tab) => !this.settled || own(tab))});
        },

        // Whether the loaded model takes it: "depth", "edit", "vary", "mask".
        needs(what) { return (document.body.dataset.needs || "").split(" ").includes(what); },

        // Called when lists and values have arrived, for the "page" that opens or for "lists" alone.
        filled(state, what) {
            const told = JSON.parse(state || "{}");
            atelier.typed.putBack(what, what === "lists" ? SIZE : "*");
            if (told.native && told.native[0]) this.native = told.native;
            this.settled = this.settled || Boolean(told.settled);
            // Controls that only some kinds of models take are shown by style.css.
            document.body.dataset.needs = (told.needs || []).join(" ");
            for (const tab of Object.keys(atelier.panels)) if (document.getElementById(`tab_${tab}`)) atelier.prompts.count(tab);
            document.dispatchEvent(new CustomEvent("atelier:filled"));
        },

        async rescan() {
            this.note("Looking through the folders…");
            try {
                await atelier.api.post("sdapi/v1/refresh-checkpoints");
            } catch (error) {
                this.note(error.message);
                return;
            }
            this.show();
            this.fill();
        },

        // A model is being loaded by a job: shown until it ends; the choice returns by itself when it fails.
        loading(job) {
            if (!job) return;
            this.loadingJob = job;
            this.note("Loading the model…");
            const end = (error) => {
                this.loadingJob = "";
                if (error) atelier.toast(error.message, error.remedy, "error");
                this.poll().then(() => this.fill());
            };
            atelier.jobs.follow(job, {
                heard(event) {
                    if (event.kind === "JobFailed") end(event.error);
                    if (event.kind === "JobFinished") end();
                },
                seen(details) { if (atelier.jobs.isFinal(details.state)) end(details.error); },
                lost() { end(); },
            });
        },

        note(text) {
            if (this.element) this.element.write("busy", text, "");
        },

        show() {
            if (!this.element || !this.health) return;
            const health = this.health;
            if (this.loadingJob) return;
            const words = {
                offline: ["bad", "No connection", "The server does not answer. The page goes on by itself when it does."],
                starting: ["busy", "Warming up…", "The engine is starting; jobs may be queued already."],
                failed: ["bad", "Engine failed", health.message],
                lost: ["bad", "Device lost", health.message],
                closed: ["bad", "Closed", health.message],
            }[health.engine];
            if (words) return this.element.write(...words);
            if (health.model_error) return this.element.write("bad", "Model not loaded", health.model_error);
            if (!health.model) return this.element.write("busy", "Loading the model…", "");
            this.element.write("good", "Ready", `${health.model}\n${health.version}`);
        },
    };

    class Status extends HTMLElement {
        connectedCallback() {
            if (this.childElementCount) return;
            this.dot = make("span.status-dot");
            this.text = make("span.status-text", {}, "Connecting…");
            const toggle = make("button.tool.theme-toggle", {
                type: "button", title: "Light or dark", "aria-label": "Light or dark", onclick: () => atelier.theme.toggle(),
            }, atelier.icon("theme"));
            this.chip = make("span.status-chip.busy", {}, this.dot, this.text);
            this.append(this.chip, toggle);
            status.element = this;
            status.show();
        }

        write(state, text, detail) {
            this.chip.className = `status-chip ${state}`;
            this.text.textContent = text;
            this.chip.title = detail || "";
            // A failure has to be read, not to be hovered over.
            if (state === "bad" && detail && detail !== this.told) atelier.toast(text, detail, "error");
            this.told = state === "bad" ? detail : "";
        }
    }
    customElements.define("atelier-status", Status);
    atelier.status = status;

    // A message that goes away by itself.
    atelier.toast = function (message, detail = "", level = "info") {
        let stack = document.getElementById("atelier-toasts");
        if (!stack) {
            stack = make("div", {id: "atelier-toasts"});
            document.body.append(stack);
        }
        const toast = make(`div.toast.${level}`, {role: "status", onclick: () => toast.remove()}, make("strong", {}, message));
        if (detail) toast.append(make("div", {}, detail));
        stack.append(toast);
        setTimeout(() => toast.remove(), level === "error" ? 12000 : 5000);
    };
})();
