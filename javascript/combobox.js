// Combobox: a line of text with a list below it; what is typed need not be in the list, and narrows it.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    // `chosen(name)` hears what is taken from the list, `typed(name)` each change by the keyboard. `beside` stands right of the label.
    class Combobox {
        constructor({id, label, beside, chosen, typed}) {
            Object.assign(this, {id, names: [], chosen, typed});
            this.input = make("input", {
                type: "text", id: `${id}-text`, role: "combobox", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list",
                "aria-expanded": "false", "aria-controls": `${id}-list`,
                oninput: () => { this.open(this.input.value); typed(this.input.value); },
                onclick: () => this.open(), onkeydown: (event) => this.key(event), onblur: () => this.close(),
            });
            this.list = make("ul.combobox-list", {id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true,
                // The line of text keeps the focus: else the list would close before the click is one.
                onpointerdown: (event) => event.preventDefault(),
                onclick: (event) => { const option = event.target.closest("li"); if (option) this.choose(option); },
            });
            const arrow = make("button.combobox-arrow", {type: "button", tabindex: -1, "aria-label": "Show all",
                onpointerdown: (event) => event.preventDefault(), onmousedown: (event) => event.preventDefault(),
                onclick: () => { const shown = this.shown; this.input.focus(); if (shown) this.close(); else this.open(); },
            }, atelier.icon("down"));
            this.element = make("div.combobox", {id},
                make("div.combobox-head", {}, make("label", {for: `${id}-text`}, label), beside),
                make("div.combobox-box", {}, this.input, arrow, this.list));
        }

        get value() { return this.input.value; }
        set value(name) { this.input.value = name; }
        get shown() { return !this.list.hidden; }

        // All names, or those that hold what was typed.
        open(part = "") {
            const sought = part.trim().toLowerCase();
            const found = this.names.filter((name) => name.toLowerCase().includes(sought));
            this.list.replaceChildren(...found.map((name, index) => make("li", {
                role: "option", id: `${this.id}-${index}`, "aria-selected": String(name === this.value),
            }, name)));
            this.list.hidden = !found.length;
            this.input.setAttribute("aria-expanded", String(this.shown));
            this.mark(part ? null : this.list.querySelector("[aria-selected=true]"));
        }

        close() {
            this.list.hidden = true;
            this.input.setAttribute("aria-expanded", "false");
            this.mark(null);
        }

        // The option that Enter takes.
        mark(option) {
            if (this.marked) this.marked.classList.remove("marked");
            this.marked = option;
            if (!option) return this.input.removeAttribute("aria-activedescendant");
            option.classList.add("marked");
            option.scrollIntoView({block: "nearest"});
            this.input.setAttribute("aria-activedescendant", option.id);
        }

        choose(option) {
            this.value = option.textContent;
            this.close();
            this.chosen(this.value);
        }

        step(by) {
            if (!this.shown) return this.open();
            const options = [...this.list.children];
            const at = options.indexOf(this.marked);
            this.mark(options[at < 0 ? (by > 0 ? 0 : options.length - 1) : (at + by + options.length) % options.length]);
        }

        key(event) {
            if (event.isComposing) return;
            if (event.key === "ArrowDown" || event.key === "ArrowUp") this.step(event.key === "ArrowDown" ? 1 : -1);
            else if (event.key === "Enter" && this.shown && this.marked) this.choose(this.marked);
            // The first Escape closes the list, the next one what it stands in.
            else if (event.key === "Escape" && this.shown) this.close();
            else return;
            event.preventDefault();
            event.stopPropagation();
        }
    }
    atelier.Combobox = Combobox;
})();
