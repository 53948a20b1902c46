// Prompts: counting tokens, clearing, dropping a picture on them to read its parameters, and keeping what is typed.
window.atelier = window.atelier || {};

(function () {
    const COUNT_AFTER = 350;
    const KEEP_AFTER = 900;
    const FIELDS = [["prompt", "token"], ["neg_prompt", "negative_token"]];

    atelier.prompts = {
        timers: {},

        area(tab, name) { return document.querySelector(`#${tab}_${name} textarea`); },

        setup(tab) {
            for (const [name] of FIELDS) {
                const area = this.area(tab, name);
                if (!area) continue;
                area.addEventListener("input", () => this.later(`count-${tab}`, () => this.count(tab), COUNT_AFTER));
                area.addEventListener("focus", () => { activePromptTextarea[tab] = area; });
                if (name === "prompt") activePromptTextarea[tab] = area;
            }
            const settings = document.getElementById(`tab_${tab}`);
            for (const kind of ["input", "change", "click"]) {
                settings.addEventListener(kind, (event) => {
                    if (event.isTrusted && kind !== "click") this.later(`keep-${tab}`, () => this.keep(tab), KEEP_AFTER);
                });
            }
            this.acceptDrop(tab);
            this.count(tab);
        },

        later(name, action, after) {
            clearTimeout(this.timers[name]);
            this.timers[name] = setTimeout(action, after);
        },

        keep(tab) {
            const button = document.getElementById(`${tab}_keep`);
            if (button) button.click();
        },

        async count(tab) {
            if (opts.disable_token_counters) return;
            for (const [name, counter] of FIELDS) {
                const area = this.area(tab, name);
                const host = document.querySelector(`#${tab}_${counter}_counter span`);
                if (!area || !host) continue;
                const steps = atelier.getNumber(`${tab}_steps`) || 20;
                try {
                    const told = await atelier.api.post("atelier/v1/page/tokens", {text: area.value, steps});
                    host.textContent = `${told.count}/${told.room}`;
                    host.classList.toggle("over", told.room > 75);
                } catch (error) {
                    host.textContent = "?";
                    host.title = error.message;
                }
            }
        },

        clear(tab) {
            if (!confirm("Clear prompt and negative prompt?")) return;
            for (const [name] of FIELDS) this.set(tab, name, "");
        },

        set(tab, name, text) {
            const area = this.area(tab, name);
            area.value = text;
            updateInput(area);
        },

        acceptDrop(tab) {
            const target = document.getElementById(`${tab}_prompt_container`);
            if (!target) return;
            const carriesFile = (event) => [...event.dataTransfer.types].includes("Files");
            target.addEventListener("dragover", (event) => {
                if (!carriesFile(event)) return;
                event.preventDefault();
                target.classList.add("dropping");
            });
            for (const kind of ["dragleave", "drop"]) target.addEventListener(kind, () => target.classList.remove("dropping"));
            target.addEventListener("drop", async (event) => {
                const file = event.dataTransfer.files[0];
                if (!file) return;
                event.preventDefault();
                const told = await atelier.readParameters(file);
                if (told && told.info) atelier.panels[tab].paste(told.info);
            });
        },
    };

    // The parameters inside a picture file, or null with a message when there are none.
    atelier.readParameters = async function (file) {
        try {
            const told = await atelier.api.ask("POST", "atelier/v1/page/parameters", file, "application/octet-stream");
            if (told.info || told.watermark) return told;
            atelier.toast("This picture holds no parameters.");
        } catch (error) {
            atelier.toast(error.message, error.remedy, "error");
        }
        return null;
    };
})();

function confirm_clear_prompt(prompt, negative) {
    return confirm("Clear prompt and negative prompt?") ? ["", ""] : [prompt, negative];
}
function update_token_counter(buttonId) { atelier.prompts.count(buttonId.startsWith("img2img") ? "img2img" : "txt2img"); }
function update_txt2img_tokens() { atelier.prompts.count("txt2img"); return Array.from(arguments); }
function update_img2img_tokens() { atelier.prompts.count("img2img"); return Array.from(arguments); }
function recalculatePromptTokens(name) { update_token_counter(name); }
