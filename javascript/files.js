// <atelier-files>: several pictures, dropped, pasted or chosen; each is sent to the server at once and shown small.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    class Files extends HTMLElement {
        connectedCallback() {
            if (this.list) return;
            this.entries = [];
            this.input = make("input", {type: "file", accept: "image/*", multiple: true, hidden: true, onchange: () => {
                this.add([...this.input.files]);
                this.input.value = "";
            }});
            this.hint = make("button.files-hint", {type: "button", onclick: () => this.input.click()},
                atelier.icon("image"), make("span", {}, "Drop pictures here, or click to choose"));
            this.list = make("div.files-list");
            this.note = make("div.files-note", {hidden: true});
            this.append(this.hint, this.input, this.note, this.list);
            this.addEventListener("dragover", (event) => { event.preventDefault(); this.classList.add("dropping"); });
            this.addEventListener("dragleave", () => this.classList.remove("dropping"));
            this.addEventListener("drop", (event) => {
                event.preventDefault();
                this.classList.remove("dropping");
                this.add([...event.dataTransfer.files]);
            });
        }

        add(files) {
            for (const file of files.filter((found) => found.type.startsWith("image/") || /\.(png|jpe?g|webp|avif|gif|bmp|tiff?)$/i.test(found.name))) {
                const entry = {name: file.name, url: URL.createObjectURL(file), failed: ""};
                entry.sent = atelier.api.upload(file).then(({sha256, width, height}) => ({sha256, width, height, name: file.name}));
                entry.sent.catch((error) => {
                    entry.failed = `${error.message} ${error.remedy || ""}`;
                    this.render();
                });
                this.entries.push(entry);
            }
            this.render();
        }

        remove(entry) {
            URL.revokeObjectURL(entry.url);
            this.entries = this.entries.filter((other) => other !== entry);
            this.render();
        }

        clear() { for (const entry of [...this.entries]) this.remove(entry); }

        // What goes to the server with the job. Waits for pictures that are still on their way.
        pictures() { return Promise.all(this.entries.map((entry) => entry.sent)); }

        render() {
            const count = this.entries.length;
            this.note.hidden = !count;
            this.note.replaceChildren(count === 1 ? "1 picture" : `${count} pictures`,
                make("button.list-button", {type: "button", onclick: () => this.clear()}, "Remove all"));
            this.list.replaceChildren(...this.entries.map((entry) => make(`div.files-item${entry.failed ? ".failed" : ""}`, {title: entry.failed || entry.name},
                make("img", {src: entry.url, alt: entry.name, loading: "lazy"}),
                make("button.files-remove", {type: "button", title: `Remove ${entry.name}`, "aria-label": `Remove ${entry.name}`, onclick: () => this.remove(entry)}, atelier.icon("close")))));
            this.dispatchEvent(new CustomEvent("files", {bubbles: true}));
        }
    }
    customElements.define("atelier-files", Files);
})();
