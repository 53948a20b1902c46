// The full-size view of pictures: over the whole page, arrows to walk, wheel or click to zoom, Escape to leave.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    const lightbox = {
        element: null,
        pictures: [],
        index: 0,
        tell: null,

        // Pictures with `sha256` or `url`; `tell(index)` hears of each step.
        open(pictures, index = 0, tell = null) {
            Object.assign(this, {pictures, index, tell});
            if (!this.element) this.build();
            this.element.style.display = "flex";
            this.element.focus();
            this.render();
        },

        close() { if (this.element) this.element.style.display = "none"; },

        build() {
            const button = (text, title, action) => make("button", {type: "button", title, "aria-label": title,
                onclick: (event) => { event.stopPropagation(); action(); }}, text);
            this.image = make("img", {id: "modalImage", alt: "", onclick: (event) => { event.stopPropagation(); this.toggle(event); }});
            this.link = make("a", {title: "Open the file", target: "_blank", onclick: (event) => event.stopPropagation()}, atelier.icon("open"));
            this.count = make("span.modal-count");
            this.element = make("div", {id: "lightboxModal", tabindex: 0, role: "dialog", "aria-label": "Picture",
                onclick: () => this.close(), onkeydown: (event) => this.key(event)},
            make("div.modalControls", {}, this.count, this.link, button(atelier.icon("close"), "Close", () => this.close())),
            button("‹", "Previous", () => this.step(-1)), this.image, button("›", "Next", () => this.step(1)));
            document.body.append(this.element);
        },

        key(event) {
            const action = {
                Escape: () => this.close(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
                z: () => this.element.classList.toggle("zoomed"),
            }[event.key];
            if (!action) return;
            event.preventDefault();
            event.stopPropagation();
            action();
        },

        step(by) {
            if (this.pictures.length < 2) return;
            this.index = (this.index + by + this.pictures.length) % this.pictures.length;
            this.render();
            if (this.tell) this.tell(this.index);
        },

        toggle(event) {
            this.element.classList.toggle("zoomed");
            const box = this.image.getBoundingClientRect();
            if (event) this.image.style.transformOrigin = `${event.clientX - box.left}px ${event.clientY - box.top}px`;
        },

        render() {
            const picture = this.pictures[this.index];
            const url = picture.url || atelier.api.pictureUrl(picture.sha256);
            this.element.classList.remove("zoomed");
            this.element.classList.toggle("single", this.pictures.length < 2);
            this.image.src = url;
            this.link.href = url;
            this.count.textContent = this.pictures.length > 1 ? `${this.index + 1} / ${this.pictures.length}` : "";
        },
    };
    atelier.lightbox = lightbox;
})();

function closeModal() { atelier.lightbox.close(); }
function modalImageSwitch(offset) { atelier.lightbox.step(offset); }
