// The two dialogs of a card: what its file tells, and what its user says of it.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const BASE = "atelier/v1/page/networks";
    const VERSIONS = {"": "As found", SD1: "SD 1", SD2: "SD 2", SDXL: "SDXL", SD3: "SD 3", Flux: "Flux"};
    const SHOWN_TAGS = 60;

    const bytes = (size) => (size > 1e9 ? `${(size / 1e9).toFixed(2)} GB` : size > 1e6 ? `${(size / 1e6).toFixed(1)} MB` : `${Math.ceil(size / 1e3)} kB`);
    const date = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString() : "");
    const facts = (page, file) => atelier.api.get(`${BASE}/${page}/card?${new URLSearchParams({file})}`);

    // A dialog over the page. `leave()` may forbid that it is closed by the keyboard.
    function open(name, title, ...parts) {
        const close = make("button.tool", {type: "button", title: "Close", "aria-label": "Close", onclick: () => dialog.dispatchEvent(new Event("cancel", {cancelable: true})) && dialog.close()}, atelier.icon("close"));
        const dialog = make(`dialog.card-dialog.${name}`, {
            "aria-label": title, onclose: () => dialog.remove(),
        }, make("header", {}, make("h2", {}, title), close), ...parts);
        document.body.append(dialog);
        dialog.showModal();
        return dialog;
    }

    function table(card, metadata) {
        const told = {
            File: card.file, Size: card.size ? bytes(card.size) : "", Modified: date(card.modified), Hash: card.hash, "Made for": card.family,
            Note: card.reason, Problem: card.problem, ...metadata,
        };
        return make("table.card-facts", {}, make("tbody", {}, ...Object.entries(told).filter(([, value]) => value !== "" && value !== null).map(([key, value]) =>
            make("tr", {}, make("th", {scope: "row"}, key), make("td", {}, typeof value === "object" ? make("pre", {}, JSON.stringify(value, null, 2)) : String(value))))));
    }

    async function metadata(page, card) {
        const body = make("div.card-dialog-body", {}, make("p.quiet", {}, "Looking into the file…"));
        open("card-metadata", card.name, body);
        try {
            const told = await facts(page, card.file);
            body.replaceChildren(table(told.card, told.metadata));
            if (!Object.keys(told.metadata).length) body.append(make("p.quiet", {}, "Its trainer left nothing in the file."));
        } catch (error) {
            body.replaceChildren(make("p.card-error", {role: "alert"}, `${error.message} ${error.remedy || ""}`));
        }
    }

    class Editor {
        constructor(tab, page, card) {
            Object.assign(this, {tab, page, card, fields: {}, dirty: false});
            this.error = make("p.card-error", {role: "alert", hidden: true});
            this.view = make("div.card-view");
            this.tags = make("div.card-tags", {hidden: true});
            this.save = make("button.list-button.primary", {type: "submit"}, "Save");
            const cancel = make("button.list-button", {type: "button", onclick: () => this.dialog.close()}, "Cancel");
            const form = make("form", {onsubmit: (event) => { event.preventDefault(); this.send(); }, oninput: () => { this.dirty = true; }},
                make("div.card-dialog-body.card-editor", {}, make("div.card-side", {}, this.view, make("button.list-button", {type: "button", onclick: () => this.takePreview()}, atelier.icon("image"), "Replace preview"),
                    make("p.quiet", {}, "With the picture that is shown in the gallery of this tab."), table({...card, problem: ""}, {})),
                make("div.card-fields", {}, ...this.build())), this.error, make("footer", {}, this.save, cancel));
            this.dialog = open("card-edit", card.name, form);
            this.dialog.addEventListener("cancel", (event) => { if (this.dirty && !confirm("Close without saving?")) event.preventDefault(); });
            this.dialog.addEventListener("close", () => this.back());
            this.showPreview();
            if (card.problem) this.fail({message: card.problem});
            if (page === "lora") this.loadTags();
        }

        build() {
            const {card} = this;
            const parts = [this.text("description", "Description", card.description, 3)];
            if (this.page === "lora") {
                parts.push(this.choice(), this.text("activation", "Activation text", card.activation, 2, card.trigger ? `The file names: ${card.trigger}` : ""), this.tags,
                    this.weight(), this.text("negative", "Negative prompt", card.negative, 2));
            }
            return [...parts, this.text("notes", "Notes", card.notes, 4)];
        }

        text(name, label, value, rows, hint = "") {
            this.fields[name] = make("textarea", {rows, placeholder: hint});
            this.fields[name].value = value;
            return make("label", {}, make("span", {}, label), this.fields[name]);
        }

        choice() {
            const found = this.card.family && !this.card.version ? ` (${this.card.family})` : "";
            this.fields.version = make("select", {}, ...Object.entries(VERSIONS).map(([value, text]) => make("option", {value}, value ? text : text + found)));
            this.fields.version.value = this.card.version in VERSIONS ? this.card.version : "";
            return make("label", {}, make("span", {}, "Stable Diffusion version"), this.fields.version);
        }

        weight() {
            const range = make("input", {type: "range", min: 0, max: 2, step: 0.01});
            const told = make("output");
            const show = () => { told.textContent = Number(range.value) ? range.value : `0: default (${opts.extra_networks_default_multiplier ?? 1})`; };
            range.value = this.card.weight;
            range.addEventListener("input", show);
            this.fields.weight = range;
            show();
            return make("label", {}, make("span", {}, "Preferred weight"), make("span.card-weight", {}, range, told));
        }

        async loadTags() {
            try {
                const {tags} = await facts(this.page, this.card.file);
                const found = Object.entries(tags);
                if (!found.length) return;
                const chips = found.map(([tag, count], at) => make("button.card-tag", {type: "button", "data-tag": tag, hidden: at >= SHOWN_TAGS, onclick: () => this.toggleTag(tag)}, tag, make("span.quiet", {}, count)));
                const rest = make("button.card-tag", {type: "button", onclick: () => { for (const chip of chips) chip.hidden = false; rest.remove(); }}, "more…");
                this.tags.append(make("span.quiet", {}, "Tags of the training; a click puts one into the activation text"), make("div", {}, ...chips, chips.length > SHOWN_TAGS ? rest : null));
                this.tags.hidden = false;
                this.chips = chips;
                this.fields.activation.addEventListener("input", () => this.markTags());
                this.markTags();
            } catch (error) {
                this.fail(error);
            }
        }

        toggleTag(tag) {
            const area = this.fields.activation;
            const own = area.value.split(",").map((part) => part.trim()).filter(Boolean);
            area.value = (own.includes(tag) ? own.filter((part) => part !== tag) : [...own, tag]).join(", ");
            this.dirty = true;
            this.markTags();
        }

        markTags() {
            const own = this.fields.activation.value.split(",").map((part) => part.trim());
            for (const chip of this.chips || []) {
                const chosen = own.includes(chip.dataset.tag);
                chip.classList.toggle("selected", chosen);
                chip.setAttribute("aria-pressed", chosen);
            }
        }

        showPreview() {
            this.view.replaceChildren(this.card.preview ? make("img", {src: this.card.preview, alt: "Preview"}) : make("p.quiet", {}, "No preview yet."));
        }

        async takePreview() {
            const picture = atelier.panels[this.tab].gallery.selected;
            if (!picture) return this.fail({message: "There is no picture in the gallery of this tab.", remedy: "Generate one first."});
            await this.ask("preview", {sha256: picture.sha256});
            this.showPreview();
        }

        async send() {
            const told = Object.fromEntries(Object.entries(this.fields).map(([name, field]) => [name, name === "weight" ? Number(field.value) : field.value]));
            if (await this.ask("notes", told)) this.dialog.close();
        }

        async ask(what, body) {
            this.error.hidden = true;
            this.save.disabled = true;
            try {
                const told = await atelier.api.post(`${BASE}/${this.page}/${what}`, {file: this.card.file, ...body});
                this.card = told.card;
                document.dispatchEvent(new CustomEvent("atelier:card", {detail: {page: this.page, card: told.card}}));
                // The engine has taken notice when that job has ended; until then the lists are those of before.
                if (told.job) atelier.jobs.ended(told.job).then(() => atelier.status.fill(), (error) => atelier.toast(error.message, error.remedy, "error"));
                return true;
            } catch (error) {
                this.fail(error);
                return false;
            } finally {
                this.save.disabled = false;
            }
        }

        fail(error) {
            this.error.textContent = `${error.message} ${error.remedy || ""}`;
            this.error.hidden = false;
        }

        // To the card, which was made anew when it was changed.
        back() {
            const card = [...document.querySelectorAll(".extra-network-cards .card")].find((each) => each.dataset.sortPath === this.card.file && uiElementIsVisible(each));
            if (card) card.querySelector(".card-main").focus();
        }
    }

    // Shows a card as the server has it now, when a program has changed the files beside it.
    async function refresh(page, {file}) {
        try {
            document.dispatchEvent(new CustomEvent("atelier:card", {detail: {page, card: (await facts(page, file)).card}}));
        } catch (error) {
            atelier.toast(error.message, error.remedy, "error");
        }
    }

    atelier.cardDialogs = {metadata, refresh, edit: (tab, page, card) => new Editor(tab, page, card)};
})();
