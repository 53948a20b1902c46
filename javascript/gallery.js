// <atelier-gallery>: the finished pictures of a job, one of them large. Its classes are those of Gradio 3's gallery.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const EMPTY = "Your pictures will appear here.";

    class Gallery extends HTMLElement {
        connectedCallback() {
            if (this.stage) return;
            this.pictures = [];
            this.index = 0;
            this.byHand = false;
            this.image = make("img", {"data-testid": "detailed-image", alt: "", draggable: true, onclick: () => this.zoom()});
            this.hint = make("div.gallery-empty", {}, make("span.gallery-empty-mark", {}, atelier.icon("image")), make("span", {}, EMPTY));
            this.stage = make("div.preview", {tabindex: 0}, this.hint, this.image);
            this.strip = make("div.grid-wrap.thumbnails", {role: "listbox", "aria-label": "Pictures"});
            this.stage.addEventListener("keydown", (event) => this.key(event));
            this.append(this.stage, this.strip);
            this.render();
        }

        get selected() { return this.pictures[this.index] || null; }

        clear() {
            this.pictures = [];
            this.index = 0;
            this.render();
        }

        // Pictures: {sha256, infotext, seed, role, width, height, path, index}. The grid stands first, as in A1111.
        // Without `select` what a person chose stays chosen while it is there, else the first is shown.
        set(pictures, select = null) {
            const kept = select === null && this.byHand && this.selected ? this.selected.sha256 : select;
            this.byHand = select === null && this.byHand;
            this.pictures = [...pictures.filter((p) => p.role === "grid"), ...pictures.filter((p) => p.role !== "grid")];
            this.index = kept === null ? 0 : Math.max(0, this.pictures.findIndex((p) => p.sha256 === kept));
            this.render();
        }

        choose(index) {
            if (!this.pictures.length) return;
            this.index = (index + this.pictures.length) % this.pictures.length;
            this.byHand = true;
            this.render();
        }

        key(event) {
            const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
            if (step) {
                event.preventDefault();
                this.choose(this.index + step);
            } else if (event.key === "Enter") {
                this.zoom();
            }
        }

        zoom() {
            if (this.selected) atelier.lightbox.open(this.pictures, this.index, (index) => this.choose(index));
        }

        render() {
            const chosen = this.selected;
            this.classList.toggle("empty", !chosen);
            this.hint.hidden = Boolean(chosen);
            this.image.hidden = !chosen;
            if (chosen) {
                const url = atelier.api.pictureUrl(chosen.sha256);
                if (this.image.src !== url) this.image.src = url;
                this.image.alt = (chosen.infotext || "").split("\n")[0].slice(0, 200);
                // Small pictures are enlarged up to a limit, so that pixels of a small model can be seen.
                this.image.style.setProperty("--native", `${chosen.width}px`);
            } else {
                this.image.removeAttribute("src");
            }
            this.renderStrip();
            this.dispatchEvent(new CustomEvent("chosen", {detail: chosen}));
        }

        renderStrip() {
            this.strip.hidden = this.pictures.length < 2;
            const wanted = this.pictures.map((picture) => picture.sha256).join();
            if (wanted !== this.drawn) {
                this.drawn = wanted;
                this.strip.replaceChildren(...this.pictures.map((picture, index) => make("button.thumbnail-item.thumbnail-lg", {
                    type: "button", role: "option", title: `Seed ${picture.seed}`, onclick: () => this.choose(index),
                }, make("img", {src: atelier.api.pictureUrl(picture.sha256), alt: "", loading: "lazy"}))));
            }
            [...this.strip.children].forEach((button, index) => {
                button.classList.toggle("selected", index === this.index);
                button.setAttribute("aria-selected", index === this.index);
            });
        }
    }
    customElements.define("atelier-gallery", Gallery);
})();

// A1111's functions for extensions that look into the gallery.
function all_gallery_buttons() {
    return [...gradioApp().querySelectorAll(".thumbnail-item.thumbnail-lg")].filter(uiElementIsVisible);
}
function selected_gallery_button() {
    return all_gallery_buttons().find((button) => button.classList.contains("selected")) || null;
}
function selected_gallery_index() {
    return all_gallery_buttons().findIndex((button) => button.classList.contains("selected"));
}
