// <atelier-settings>: fills the form that the server made, marks what was changed, sends only that.
window.atelier = window.atelier || {};

(function () {
    const LISTS = {models: (c) => c.models.map((m) => m.title), vaes: (c) => ["Automatic", "None", ...c.vaes.map((v) => v.name)]};

    class Settings extends HTMLElement {
        connectedCallback() {
            if (this.ready) return;
            this.ready = true;
            this.values = {};
            this.note = this.querySelector(".settings-note");
            this.querySelector("#settings_submit").addEventListener("click", () => this.apply());
            this.querySelector("#settings_restart_gradio").addEventListener("click", () => location.reload());
            this.querySelector("#settings_search").addEventListener("input", (event) => this.filter(event.target.value));
            for (const button of this.querySelectorAll("nav button")) button.addEventListener("click", () => this.open(button.dataset.section));
            for (const reset of this.querySelectorAll(".setting-reset")) {
                reset.append(atelier.icon("undo"));
                reset.addEventListener("click", () => this.reset(reset.closest(".setting")));
            }
            this.addEventListener("input", (event) => this.edited(event.target));
            this.open(this.querySelector("nav button")?.dataset.section);
            onUiTabChange(() => { if (atelier.tabs.current() === "settings") this.load(); });
        }

        get all() { return [...this.querySelectorAll(".setting")]; }

        async load() {
            try {
                const told = await atelier.settings.reload();
                const health = atelier.status.health || {};
                const lists = health.engine === "ready" ? await atelier.api.get("atelier/v1/capabilities") : null;
                for (const setting of this.all) {
                    if (setting.classList.contains("changed")) continue;
                    this.fillChoices(setting, lists, told.values[setting.dataset.key]);
                    this.write(setting, told.values[setting.dataset.key]);
                }
                this.values = told.values;
            } catch (error) {
                this.say(error.message, "error");
            }
        }

        fillChoices(setting, lists, value) {
            const select = setting.querySelector("select[data-choices]");
            if (!select) return;
            const make = LISTS[select.dataset.choices];
            const names = lists && make ? make(lists) : [];
            if (value !== undefined && !names.includes(value)) names.unshift(value);
            select.replaceChildren(...names.map((name) => atelier.make("option", {}, name)));
        }

        write(setting, value) {
            const kind = setting.dataset.kind;
            for (const element of setting.querySelectorAll("input, select, textarea")) {
                if (kind === "bool") element.checked = Boolean(value);
                else if (kind === "lines") element.value = (value || []).join("\n");
                else if (kind === "json") element.value = JSON.stringify(value);
                else element.value = value;
            }
            this.mark(setting);
        }

        read(setting) {
            const kind = setting.dataset.kind;
            const elements = setting.querySelectorAll("input, select, textarea");
            const element = elements[elements.length - 1];
            if (kind === "bool") return element.checked;
            if (kind === "lines") return element.value.split("\n").map((line) => line.trim()).filter(Boolean);
            if (kind === "json") return JSON.parse(element.value || "{}");
            if (kind === "number") return element.value === "" ? null : Number(element.value);
            return element.value;
        }

        edited(element) {
            const setting = element.closest(".setting");
            if (!setting) return;
            // Slider and number box of one setting follow each other.
            if (setting.dataset.kind === "number") {
                for (const other of setting.querySelectorAll("input")) if (other !== element) other.value = element.value;
            }
            const changed = JSON.stringify(this.read(setting)) !== JSON.stringify(this.values[setting.dataset.key]);
            setting.classList.toggle("changed", changed);
            setting.classList.remove("refused");
            this.mark(setting);
            const count = this.querySelectorAll(".setting.changed").length;
            this.say(count ? `${count} changed, not yet applied` : "");
        }

        mark(setting) {
            const differs = JSON.stringify(this.read(setting)) !== setting.dataset.default;
            setting.querySelector(".setting-reset").hidden = !differs || Number(setting.dataset.default) === this.read(setting);
        }

        reset(setting) {
            this.write(setting, JSON.parse(setting.dataset.default));
            this.edited(setting.querySelector("input, select, textarea"));
        }

        async apply() {
            const changed = [...this.querySelectorAll(".setting.changed")];
            const values = Object.fromEntries(changed.map((setting) => [setting.dataset.key, this.read(setting)]));
            if (!changed.length) return this.say("Nothing was changed.");
            try {
                const told = await atelier.api.post("atelier/v1/page/settings", values);
                for (const setting of changed) setting.classList.remove("changed", "refused");
                const later = told.restart.length ? ` ${told.restart.length} of them at the next start.` : "";
                this.say(told.changed.length === 1 ? `1 setting changed.${later}` : `${told.changed.length} settings changed.${later}`, "good");
                atelier.status.loading(told.job);
                await this.load();
            } catch (error) {
                const field = ((error.fields || {}).field || "").split(".").pop();
                const wrong = changed.find((setting) => setting.dataset.key === field);
                if (wrong) {
                    wrong.classList.add("refused");
                    this.open(wrong.closest("section").dataset.section);
                }
                this.say(`${error.message} ${error.remedy || ""}`, "error");
            }
        }

        say(text, level = "") {
            this.note.textContent = text;
            this.note.className = `settings-note ${level}`;
        }

        open(section) {
            this.querySelector("#settings_search").value = "";
            for (const setting of this.all) setting.hidden = false;
            for (const found of this.querySelectorAll("section")) found.hidden = found.dataset.section !== section;
            for (const button of this.querySelectorAll("nav button")) button.classList.toggle("selected", button.dataset.section === section);
        }

        filter(text) {
            const words = text.toLowerCase().split(/\s+/).filter(Boolean);
            if (!words.length) return this.open(this.querySelector("nav button").dataset.section);
            for (const button of this.querySelectorAll("nav button")) button.classList.remove("selected");
            for (const section of this.querySelectorAll("section")) {
                let any = false;
                for (const setting of section.querySelectorAll(".setting")) {
                    const told = `${setting.dataset.key} ${setting.textContent}`.toLowerCase();
                    setting.hidden = !words.every((word) => told.includes(word));
                    any = any || !setting.hidden;
                }
                section.hidden = !any;
            }
        }
    }
    customElements.define("atelier-settings", Settings);
})();
