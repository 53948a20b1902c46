// <atelier-progress>: how far a job is, with the picture as it forms.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    class Progress extends HTMLElement {
        connectedCallback() {
            if (this.childElementCount) return;
            this.bar = make("div.progress", {role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100});
            this.label = make("div.progress-label");
            this.picture = make("img", {alt: "Preview"});
            this.preview = make("div.livePreview", {}, this.picture);
            this.append(make("div.progressDiv", {}, this.bar, this.label), this.preview);
            this.hidden = true;
        }

        // `told`: {text, fraction, busy}. Without a fraction the bar moves to and fro.
        show(told) {
            this.hidden = false;
            const known = typeof told.fraction === "number";
            this.bar.classList.toggle("unknown", !known);
            this.bar.style.width = known ? `${(told.fraction * 100).toFixed(1)}%` : "";
            if (known) this.bar.setAttribute("aria-valuenow", Math.round(told.fraction * 100));
            this.label.textContent = told.text;
        }

        // `size` is [width, height] of the picture that is being made.
        showPreview(url, size) {
            this.picture.src = url;
            if (size) this.picture.style.aspectRatio = `${size[0]} / ${size[1]}`;
            this.preview.classList.add("shown");
        }

        hidePreview() {
            this.preview.classList.remove("shown");
            this.picture.removeAttribute("src");
        }

        hide() {
            this.hidden = true;
            this.hidePreview();
        }
    }
    customElements.define("atelier-progress", Progress);

    // Time left from the steps seen so far. The first step is left out: it carries what is done only once.
    atelier.Pace = class {
        constructor() { this.begun = null; this.last = null; }
        step(event) {
            if (!this.begun || event.step < this.begun.step) this.begun = {step: event.step, time: event.time};
            this.last = {step: event.step, time: event.time, steps: event.steps};
        }
        get left() {
            if (!this.last || this.last.step <= this.begun.step) return null;
            const each = (this.last.time - this.begun.time) / (this.last.step - this.begun.step);
            return each * (this.last.steps - this.last.step);
        }
    };
})();
