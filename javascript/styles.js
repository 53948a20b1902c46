// The dialog "Edit styles": styles are looked at, written, deleted, taken from the prompt and put into it.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const PATH = "atelier/v1/page/styles";
    const FIELDS = [["prompt", "prompt"], ["neg_prompt", "negative_prompt"]];

    class StyleDialog {
        constructor(tab) {
            Object.assign(this, {tab, styles: [], kept: {prompt: "", negative_prompt: ""}, areas: {}, asked: Promise.resolve()});
            this.build();
        }

        build() {
            const {tab} = this;
            const button = (what, id, text, action, icon) => make(what, {type: "button", id: `${tab}_${id}`, onclick: action}, icon ? atelier.icon(icon) : null, text);
            this.state = make("span.quiet", {"aria-live": "polite"});
            this.name = new atelier.Combobox({
                id: `${tab}_styles_edit_select`, label: "Styles", beside: this.state, chosen: (name) => this.show(name), typed: () => this.named(),
            });
            this.name.input.placeholder = "Choose one, or type a new name";
            this.told = make("div.style-told", {"aria-live": "polite"});
            this.remove = button("button.list-button", "edit_style_delete", "Delete", () => this.delete(), "trash");
            this.element = make("dialog.style-dialog", {id: `${tab}_styles_dialog`, "aria-labelledby": `${tab}_styles_title`,
                onclose: () => this.closed(), onpointerdown: (event) => { this.outside = event.target === this.element; },
                // A click beside the dialog, not one that only ends there.
                onclick: (event) => { if (this.outside && event.target === this.element) this.element.close(); },
            }, make("form", {onsubmit: (event) => { event.preventDefault(); this.save(); }, onkeydown: (event) => this.key(event)},
                make("h2", {id: `${tab}_styles_title`}, "Edit styles"),
                make("p.quiet", {}, "A style adds its text behind yours, or around it where it says ", make("code", {}, "{prompt}"), "."),
                this.name.element, ...FIELDS.map(([name, key]) => this.area(name, key)),
                make("div.style-tools", {},
                    button("button.list-button", "style_copy", "Copy from prompt", () => this.copy(), "copy"),
                    button("button.list-button", "style_apply_dialog", "Apply to prompt", () => this.apply(), "apply")),
                this.told,
                make("div.style-actions", {}, this.remove,
                    button("button.list-button", "edit_style_close", "Close", () => this.element.close()),
                    make("button.list-button.primary", {type: "submit", id: `${tab}_edit_style_save`}, "Save"))));
            // Inside, where selectors of extensions look.
            gradioApp().append(this.element);
        }

        area(name, key) {
            const id = `${this.tab}_edit_style_${name}`;
            this.areas[key] = make("textarea", {id: `${id}-text`, rows: 4, spellcheck: "false"});
            return make("div.style-text", {id}, make("label", {for: `${id}-text`}, key === "prompt" ? "Prompt" : "Negative prompt"), this.areas[key]);
        }

        get texts() { return Object.fromEntries(FIELDS.map(([, key]) => [key, this.areas[key].value])); }
        get touched() { return FIELDS.some(([, key]) => this.areas[key].value !== this.kept[key]); }
        find(name) { return this.styles.find((style) => style.name === name); }

        async open() {
            this.say();
            this.element.showModal();
            this.name.input.focus();
            await this.ask("GET", PATH);
            // The files may have been changed by hand, or by somebody else.
            atelier.styles.offer();
            const shown = this.find(this.name.value);
            if (this.touched || !this.element.open) return;
            if (shown) this.show(shown.name);
            else if (!this.name.value) this.show((this.styles.find((style) => atelier.styles.chosen(this.tab).includes(style.name)) || {name: ""}).name);
        }

        // Focus goes back to where it was by itself, if that is still there.
        closed() {
            this.name.close();
            if (document.activeElement === document.body) document.getElementById(`${this.tab}_styles_edit_button`)?.focus();
        }

        // What was written and not saved stays until another style is chosen, also when the dialog was closed meanwhile.
        show(name) {
            const style = this.find(name);
            this.name.value = name;
            if (style) this.write(style);
            if (style) this.kept = this.texts;
            this.say();
            this.named();
        }

        write(style) { for (const [, key] of FIELDS) this.areas[key].value = style[key]; }

        named() {
            const name = this.name.value;
            const there = Boolean(this.find(name));
            this.remove.hidden = !there;
            this.state.textContent = there ? "Save changes this style." : name.trim() ? "Save makes a new style." : "";
        }

        // One question after the other, so that the last list is the newest. Undefined when it failed, which is said.
        ask(method, path, body) {
            this.asked = this.asked.then(() => this.answer(method, path, body));
            return this.asked;
        }

        async answer(method, path, body) {
            this.say();
            this.name.element.classList.remove("refused");
            try {
                const told = await atelier.api.ask(method, path, body);
                this.styles = told.styles || this.styles;
                this.name.names = this.styles.map((style) => style.name);
                if (told.problems && told.problems.length) this.fail({message: "A file of styles cannot be read.", remedy: told.problems.join(" ")});
                return told;
            } catch (error) {
                this.fail(error);
                return undefined;
            } finally {
                this.named();
            }
        }

        async save() {
            const style = {name: this.name.value, ...this.texts};
            if (!await this.ask("PUT", PATH, style)) return;
            const saved = this.find(style.name) ? style.name : style.name.trim();
            if (this.name.value === style.name) this.name.value = saved;
            this.kept = {prompt: style.prompt, negative_prompt: style.negative_prompt};
            this.named();
            this.say(`Saved “${saved}”.`);
            atelier.styles.gone.delete(saved);
            atelier.styles.offer();
        }

        async delete() {
            const name = this.name.value;
            if (!confirm(`Delete the style “${name}”?`)) return;
            if (!await this.ask("DELETE", `${PATH}?name=${encodeURIComponent(name)}`)) return;
            // The texts stay: a hasty person saves them again.
            this.kept = {prompt: "", negative_prompt: ""};
            this.name.input.focus();
            this.say(`Deleted “${name}”.`);
            atelier.styles.gone.add(name);
            atelier.styles.offer();
        }

        copy() {
            for (const [name, key] of FIELDS) this.areas[key].value = atelier.prompts.area(this.tab, name).value;
            this.say("Copied from the prompt; not saved yet.");
        }

        async apply() {
            const prompts = Object.fromEntries(FIELDS.map(([name, key]) => [key, atelier.prompts.area(this.tab, name).value]));
            const merged = await this.ask("POST", `${PATH}/merge`, {...prompts, style: {name: this.name.value, ...this.texts}});
            if (!merged) return;
            for (const [name, key] of FIELDS) atelier.prompts.set(this.tab, name, merged[key]);
            atelier.prompts.keep(this.tab);
            this.say("The prompt has the style's text in it now.");
        }

        key(event) {
            if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
            event.preventDefault();
            this.save();
        }

        say(text = "") { this.told.replaceChildren(...(text ? [make("p.style-done", {}, text)] : [])); }

        fail(error) {
            this.told.replaceChildren(make("div.panel-error", {role: "alert"}, make("strong", {}, error.message), make("span", {}, error.remedy || "")));
            const field = ((error.fields || {}).field || "").split(".").pop();
            if (field === "name") this.name.element.classList.add("refused");
            this.told.scrollIntoView({block: "nearest"});
        }
    }

    atelier.styles = {
        dialogs: {},
        // Deleted on this page: no tab has them chosen any longer.
        gone: new Set(),

        open(tab) {
            this.dialogs[tab] = this.dialogs[tab] || new StyleDialog(tab);
            this.dialogs[tab].open();
        },

        // The names on a tab's dropdown.
        chosen(tab) { return [...document.querySelectorAll(`#${tab}_styles .token`)].map((token) => token.textContent.trim()); },

        // Both tabs get the list as it is now.
        offer() { document.getElementById("offer_styles").click(); },
        offering(values) { return atelier.wire({gone: [...this.gone]}, values); },
        // A style that is gone is not to come back with the next visit.
        offered() { if (this.gone.size) for (const tab of ["txt2img", "img2img"]) atelier.prompts.keep(tab); },
    };
})();
