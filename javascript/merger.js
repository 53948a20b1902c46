// <atelier-merger>: forms for work on weights; what is filled in becomes a job, whose progress and end are shown.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const RETRY = 1000;
    const LISTS = {
        models: (c) => ["", ...c.models.map((m) => m.title)],
        vaes: (c) => ["None", ...c.vaes.map((v) => v.name)],
        loras: (c) => ["", ...c.loras.map((l) => l.name)],
    };

    class Merger extends HTMLElement {
        connectedCallback() {
            if (this.ready) return;
            this.ready = true;
            this.result = this.querySelector(".merger-result");
            for (const button of this.querySelectorAll("nav button")) button.addEventListener("click", () => this.open(button.dataset.section));
            for (const section of this.querySelectorAll("section")) {
                section.querySelector("button.primary").addEventListener("click", () => this.send(section));
                for (const setting of section.querySelectorAll(".setting")) this.prepare(setting);
            }
            this.querySelector("#modelmerger_read_metadata").addEventListener("click", () => this.readMetadata());
            this.addEventListener("input", (event) => this.edited(event.target));
            this.open(this.querySelector("nav button").dataset.section);
            onUiTabChange(() => { if (atelier.tabs.current() === "modelmerger") this.load(); });
        }

        prepare(setting) {
            this.write(setting, JSON.parse(setting.dataset.default));
            const area = setting.querySelector("textarea");
            if (!area || !setting.dataset.choices) return;
            // A list is typed; this puts a name into it.
            const add = make("select", {"data-choices": setting.dataset.choices, "aria-label": "Add to the list", onchange: () => {
                if (!add.value) return;
                area.value = [...area.value.split("\n").filter((line) => line.trim()), `${add.value}: 1`].join("\n");
                add.value = "";
            }});
            area.before(add);
        }

        open(name) {
            if (!this.busy) this.result.replaceChildren();
            for (const section of this.querySelectorAll("section")) section.hidden = section.dataset.section !== name;
            for (const button of this.querySelectorAll("nav button")) button.classList.toggle("selected", button.dataset.section === name);
        }

        async load() {
            clearTimeout(this.timer);
            // While the engine starts there are no lists; they come when it is ready.
            if ((atelier.status.health || {}).engine !== "ready") {
                if (atelier.tabs.current() === "modelmerger") this.timer = setTimeout(() => this.load(), RETRY);
                return;
            }
            const lists = await atelier.api.get("atelier/v1/capabilities");
            for (const select of this.querySelectorAll("select[data-choices]")) {
                const before = select.value;
                const names = LISTS[select.dataset.choices](lists);
                select.replaceChildren(...names.map((name) => make("option", {value: name}, name || "—")));
                select.value = names.includes(before) ? before : names[0];
            }
        }

        write(setting, value) {
            for (const element of setting.querySelectorAll("input, select, textarea")) {
                if (setting.dataset.kind === "bool") element.checked = value;
                else if (setting.dataset.kind === "lines") element.value = value.join("\n");
                else if (setting.dataset.kind === "json") element.value = JSON.stringify(value);
                else element.value = value;
            }
        }

        read(setting) {
            const kind = setting.dataset.kind;
            const element = [...setting.querySelectorAll("input, select, textarea")].pop();
            if (kind === "bool") return element.checked;
            if (kind === "lines") return element.value.split("\n").map((line) => line.trim()).filter(Boolean);
            if (kind === "json") return JSON.parse(element.value || "{}");
            if (kind === "number") return element.value === "" ? JSON.parse(setting.dataset.default) : Number(element.value);
            return element.value;
        }

        edited(element) {
            const setting = element.closest(".setting");
            if (!setting) return;
            setting.classList.remove("refused");
            if (setting.dataset.kind !== "number") return;
            for (const other of setting.querySelectorAll("input")) if (other !== element) other.value = element.value;
        }

        async send(section) {
            const settings = [...section.querySelectorAll(".setting")];
            for (const setting of settings) setting.classList.remove("refused");
            try {
                const values = Object.fromEntries(settings.map((setting) => [setting.dataset.key, this.read(setting)]));
                const ticket = await atelier.api.post(`atelier/v1/${section.dataset.path}`, values);
                this.follow(ticket.id, section);
            } catch (error) {
                this.failed(error, section);
            }
        }

        async readMetadata() {
            const section = this.querySelector("section[data-section=merge]");
            const names = ["primary", "secondary", "tertiary"].map((place) => section.querySelector(`#modelmerger_${place}_model_name select`).value);
            const query = new URLSearchParams(names.filter(Boolean).map((name) => ["model", name]));
            try {
                const found = await atelier.api.get(`atelier/v1/merge/metadata?${query}`);
                section.querySelector("#modelmerger_metadata textarea").value = JSON.stringify(found, null, 1);
            } catch (error) {
                this.failed(error, section);
            }
        }

        follow(job, section) {
            this.busy = true;
            const text = make("span", {}, "waiting");
            const bar = make("div");
            const stop = make("button.list-button", {type: "button", onclick: () => atelier.jobs.cancel(job, "stop")}, "Interrupt");
            this.result.replaceChildren(make("div.job", {}, make("div.job-text", {}, text, make("div.job-bar", {}, bar)), stop));
            let stage = "", begun = 0, notes = [];
            const end = async (error, state) => {
                this.busy = false;
                if (error) return this.failed(error, section);
                if (state !== "done") return this.result.replaceChildren(make("p.quiet", {}, "Interrupted; no file was made."));
                const {result} = await atelier.api.get(`atelier/v1/jobs/${encodeURIComponent(job)}`);
                this.made(result, notes);
            };
            atelier.jobs.follow(job, {
                heard: (event) => {
                    if (event.kind === "JobStarted") text.textContent = "started";
                    if (event.kind === "StageChanged") { stage = event.stage; begun = 0; text.textContent = stage; }
                    if (event.kind === "Notice") notes.push(event.message);
                    if (event.kind === "StepDone") {
                        begun = begun || event.time;
                        const part = event.step / event.steps;
                        const left = part > 0.02 ? Math.round((event.time - begun) / part * (1 - part)) : null;
                        bar.style.width = `${(part * 100).toFixed(0)}%`;
                        text.textContent = `${stage} ${(part * 100).toFixed(0)} %${left === null ? "" : `, ${left} s left`}`;
                    }
                    if (event.kind === "JobFailed") end(event.error);
                    if (event.kind === "JobFinished") end(null, event.state);
                },
                seen: (details) => {
                    if (atelier.jobs.isFinal(details.state)) return end(details.error, details.state);
                    if (details.progress) bar.style.width = `${(details.progress.fraction * 100).toFixed(0)}%`;
                },
                lost: (error) => end(error),
            });
        }

        made(result, notes) {
            const facts = Object.entries(result.facts || {}).map(([name, value]) => make("div", {}, `${name}: ${value}`));
            this.result.replaceChildren(make("div.job.done", {}, make("div.job-text", {},
                make("strong", {}, `Made ${result.model || result.network}`),
                make("div.quiet", {}, result.path), ...facts,
                ...[...new Set([...notes, ...(result.comments || [])])].map((note) => make("div.notice", {}, note)))));
            this.load();
            if (result.model) atelier.status.fill();
        }

        failed(error, section) {
            const field = ((error.fields || {}).field || "").split(".").pop();
            const wrong = [...section.querySelectorAll(".setting")].find((setting) => setting.dataset.key === field);
            if (wrong) {
                wrong.classList.add("refused");
                wrong.scrollIntoView({block: "nearest"});
            }
            this.result.replaceChildren(make("div.panel-error", {}, make("strong", {}, error.message), ` ${error.remedy || ""}`));
        }
    }
    customElements.define("atelier-merger", Merger);
})();
