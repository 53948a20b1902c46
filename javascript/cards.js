// <atelier-cards tab page>: the cards of one kind of network or model; to find, to put into the prompt, to look into.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const BASE = "atelier/v1/page/networks";
    const SEARCH_AFTER = 80;
    const LOOK = 600;
    const ORDERS = {
        Path: (card) => `${card.folder}/${card.name}`.toLowerCase(), Name: (card) => card.name.toLowerCase(),
        "Date Created": (card) => card.created, "Date Modified": (card) => card.modified,
    };
    const TAGS = {lora: "lora", hypernetworks: "hypernet"};
    const EMPTY = {
        lora: "Lora files belong into models/Lora.", hypernetworks: "Hypernetworks belong into models/hypernetworks.",
        checkpoints: "Checkpoints belong into models/Stable-diffusion.", textual_inversion: "Embeddings belong into the folder embeddings.",
    };
    const inOrder = new Intl.Collator(undefined, {numeric: true}).compare;

    class Cards extends HTMLElement {
        connectedCallback() {
            if (this.grid) return;
            this.tab = this.getAttribute("tab");
            this.page = this.getAttribute("page");
            Object.assign(this, {rows: new Map(), folder: "", told: "", stale: true, field: "", down: false, seen: null});
            this.build();
            document.addEventListener("atelier:filled", () => { this.stale = true; this.look(); });
            document.addEventListener("atelier:card", (event) => { if (event.detail.page === this.page) this.replace(event.detail.card); });
            onOptionsChanged(() => { this.stale = true; this.look(); });
            onUiUpdate(() => this.look());
        }

        build() {
            const id = `${this.tab}_${this.page}_extra`;
            const button = (name, icon, title, action) => make("button.tool", {type: "button", id: name, title, "aria-label": title, onclick: action}, atelier.icon(icon));
            this.search = make("input.search", {type: "search", id: `${id}_search`, placeholder: "Search", "aria-label": "Search cards", oninput: () => this.later(), onkeydown: (event) => this.key(event)});
            this.order = make("select.card-order", {id: `${id}_sort`, "aria-label": "Order", onchange: () => { this.field = this.order.value; this.sort(); }},
                ...Object.keys(ORDERS).map((name) => make("option", {value: name}, name)));
            this.turn = button(`${id}_sort_dir`, "up", "Turn the order round", () => { this.down = !this.down; this.sort(); });
            this.again = button(`${id}_refresh`, "refresh", "Look through the folders again", () => this.rescan());
            this.count = make("span.quiet", {"aria-live": "polite"});
            this.folders = make("div.card-folders", {id: `${this.tab}_${this.page}_dirs`, role: "group", "aria-label": "Folders"});
            this.grid = make("div.extra-network-cards", {id: `${this.tab}_${this.page}_cards`, role: "list", "aria-label": "Cards"});
            this.note = make("p.quiet.card-note", {}, "Looking…");
            // These are no values of the form, which would be sent to be kept.
            for (const kind of ["input", "change"]) this.addEventListener(kind, (event) => event.stopPropagation());
            this.append(make("div.list-head", {}, this.search, this.order, this.turn, this.again, this.count), this.folders, this.note, this.grid);
        }

        named(name) {
            const row = [...this.rows.values()].find(({card}) => card.name === name);
            return row ? row.card : null;
        }

        get shown() { return uiElementIsVisible(this); }

        // Loads when it is seen first, and again when what the server knows has changed.
        look() {
            if (!this.shown) return;
            if (!this.watching) this.watching = setInterval(() => this.mark(), LOOK);
            if (this.stale && !this.loading) this.load();
        }

        async load() {
            this.loading = true;
            this.stale = false;
            try {
                const told = await atelier.api.get(`${BASE}/${this.page}`);
                const text = JSON.stringify(told.cards);
                if (text !== this.told) this.render(told.cards);
                this.told = text;
                this.dress();
            } catch (error) {
                this.note.hidden = false;
                this.note.textContent = `${error.message} ${error.remedy || ""}`;
            } finally {
                this.loading = false;
                this.look();
            }
        }

        render(cards) {
            this.rows.clear();
            this.grid.replaceChildren();
            for (const card of cards) this.rows.set(card.file, this.row(card));
            this.renderFolders(cards);
            if (!this.field) {
                this.field = ORDERS[opts.extra_networks_card_order_field] ? opts.extra_networks_card_order_field : "Path";
                this.down = opts.extra_networks_card_order === "Descending";
            }
            this.sort();
            this.filter();
            this.mark(true);
        }

        // What the settings say of all cards.
        dress() {
            const size = (name) => (Number(opts[`extra_networks_card_${name}`]) > 0 ? `${opts[`extra_networks_card_${name}`]}px` : "");
            this.grid.style.setProperty("--card-width", size("width"));
            this.grid.style.setProperty("--card-height", size("height"));
            this.grid.style.setProperty("--card-text", opts.extra_networks_card_text_scale ?? 1);
            this.grid.classList.toggle("bare", opts.extra_networks_card_show_desc === false);
        }

        row(card) {
            const row = {card, words: [card.folder, card.name, ...card.names, card.trigger, card.activation, card.description].join("\n").toLowerCase()};
            const small = (icon, title, action) => make("button.card-tool", {type: "button", title, "aria-label": `${title}: ${card.name}`, onclick: action}, atelier.icon(icon));
            const about = [card.folder ? `${card.folder}/${card.name}` : card.name, card.reason, card.problem, card.description].filter(Boolean).join("\n");
            row.main = make("button.card-main", {type: "button", title: about, "aria-pressed": "false", onclick: () => this.press(row)},
                this.picture(card), make("span.actions", {}, make("span.name", {}, card.name), make("span.description", {}, card.description)));
            row.element = make("div.card", {role: "listitem", "data-name": card.name, "data-sort-path": card.file}, row.main, make("div.button-row", {},
                small("copy", "Copy the path", () => this.copy(card)), small("info", "What the file tells", () => atelier.cardDialogs.metadata(this.page, card)),
                small("pencil", "Edit notes and preview", () => atelier.cardDialogs.edit(this.tab, this.page, card))));
            row.element.classList.toggle("unfit", Boolean(card.reason));
            row.element.classList.toggle("troubled", Boolean(card.problem));
            row.element.classList.toggle("unnamed", !card.text && this.page !== "checkpoints");
            return row;
        }

        picture(card) {
            const none = () => make("span.card-blank", {"aria-hidden": "true"}, [...card.name.replace(/[^\p{L}\p{N}]/gu, "") || "?"][0].toUpperCase());
            if (!card.preview) return none();
            // A damaged picture is no reason to have no card.
            return make("img.preview", {src: card.preview, alt: "", loading: "lazy", decoding: "async", draggable: false, onerror: (event) => event.target.replaceWith(none())});
        }

        renderFolders(cards) {
            const all = new Set();
            for (const {folder} of cards) {
                const parts = folder ? folder.split("/") : [];
                parts.forEach((_, at) => all.add(parts.slice(0, at + 1).join("/")));
            }
            if (!all.has(this.folder)) this.folder = "";
            const button = (folder, text) => make("button.card-folder", {type: "button", "data-folder": folder, onclick: () => this.choose(folder)}, text);
            this.folders.replaceChildren(...(all.size ? [button("", "All"), ...[...all].sort(inOrder).map((folder) => button(folder, folder))] : []));
            this.folders.hidden = !all.size;
            this.choose(this.folder, true);
        }

        choose(folder, quiet = false) {
            this.folder = folder === this.folder && !quiet ? "" : folder;
            for (const button of this.folders.children) {
                const chosen = button.dataset.folder === this.folder;
                button.classList.toggle("selected", chosen);
                button.setAttribute("aria-pressed", chosen);
            }
            if (!quiet) this.filter();
        }

        later() {
            clearTimeout(this.timer);
            this.timer = setTimeout(() => this.filter(), SEARCH_AFTER);
        }

        // Escape empties the field; it must not end a running job.
        key(event) {
            if (event.key === "Escape" && this.search.value) event.stopPropagation();
        }

        filter() {
            const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
            let count = 0;
            for (const {card, words: own, element} of this.rows.values()) {
                const inside = !this.folder || card.folder === this.folder || card.folder.startsWith(`${this.folder}/`);
                const fits = inside && words.every((word) => own.includes(word));
                if (element.hidden === fits) element.hidden = !fits;
                count += fits;
            }
            const all = this.rows.size;
            this.count.textContent = count === all ? (all === 1 ? "1 file" : `${all} files`) : `${count} of ${all} files`;
            this.note.hidden = count > 0;
            this.note.textContent = all ? "Nothing fits." : EMPTY[this.page];
        }

        sort() {
            const key = ORDERS[this.field];
            const value = (row) => key(row.card);
            const compare = this.field.startsWith("Date") ? (a, b) => value(a) - value(b) : (a, b) => inOrder(value(a), value(b));
            const rows = [...this.rows.values()].sort((a, b) => (this.down ? -1 : 1) * compare(a, b));
            this.grid.append(...rows.map((row) => row.element));
            this.order.value = this.field;
            this.turn.classList.toggle("down", this.down);
            this.turn.setAttribute("aria-pressed", this.down);
        }

        // Which files the prompts name already. Prompts also change without an event, when parameters are pasted.
        mark(always = false) {
            if (!this.shown) return;
            const prompts = ["prompt", "neg_prompt"].map((name) => (atelier.prompts.area(this.tab, name) || {}).value || "");
            const seen = prompts.join("\n");
            if (seen === this.seen && !always) return;
            this.seen = seen;
            for (const row of this.rows.values()) {
                const there = this.page === "checkpoints" ? row.card.loaded : Boolean(atelier.cardTexts.named(seen, TAGS[this.page], row.card.names));
                if (row.there === there) continue;
                row.there = there;
                row.element.classList.toggle("in-use", there);
                row.main.setAttribute("aria-pressed", there);
            }
        }

        press({card}) {
            if (this.page === "checkpoints") return selectCheckpoint(card.title);
            if (!card.text) return atelier.toast(card.name, card.problem, "error");
            cardClicked(this.tab, this.textFor(card), card.negative, this.page === "textual_inversion");
            this.mark();
        }

        // What stands in the prompt under another name of the file has to leave it by that name.
        textFor(card) {
            const kind = TAGS[this.page];
            const name = kind && atelier.cardTexts.named(atelier.prompts.area(this.tab, "prompt").value, kind, card.names);
            return name ? card.text.replace(/^<(\w+):[^:>]+/, (_, word) => `<${word}:${name}`) : card.text;
        }

        async copy(card) {
            try {
                await navigator.clipboard.writeText(card.file);
                atelier.toast("Path copied.", card.file);
            } catch (error) {
                // Browsers give the clipboard to safe connections only.
                atelier.toast("The path could not be copied. It is:", card.file);
            }
        }

        replace(card) {
            // A list that is on its way may be older than this card.
            if (this.loading) this.stale = true;
            const old = this.rows.get(card.file);
            if (!old) return;
            const row = this.row(card);
            this.rows.set(card.file, row);
            const focused = old.element.contains(document.activeElement);
            old.element.replaceWith(row.element);
            if (focused) row.main.focus();
            this.told = "";
            this.filter();
            this.mark(true);
        }

        async rescan() {
            this.again.disabled = true;
            this.count.textContent = "Looking through the folders…";
            try {
                await atelier.jobs.ended((await atelier.api.post("atelier/v1/jobs", {kind: "refresh"})).id);
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
            this.again.disabled = false;
            this.filter();
            atelier.status.fill();
        }
    }
    customElements.define("atelier-cards", Cards);
})();
