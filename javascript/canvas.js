// <atelier-canvas>: a picture that is given by dropping, pasting or choosing, moved, zoomed, and painted on.
//
// mode="picture" only shows it; "sketch" paints colours; "mask" marks what is made anew; "color-mask" does both.
// Pictures go to the server as files; what leaves this element are their hashes.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const WHEEL = 1.15;
    const MASK_COLOR = "#ffffff";

    class Canvas extends HTMLElement {
        connectedCallback() {
            if (this.view) return;
            this.mode = this.getAttribute("mode") || "picture";
            this.image = null;
            this.stored = null;
            this.sent = {};
            this.layer = new atelier.Layer();
            this.at = {zoom: 1, x: 0, y: 0};
            this.tool = "brush";
            this.pointers = new Map();
            this.build();
            this.listen();
            new ResizeObserver(() => this.fit(false)).observe(this.frame);
            this.refresh();
        }

        get paints() { return this.mode !== "picture"; }
        get hasPicture() { return this.image !== null; }
        get painted() { return this.layer.painted; }
        get naturalWidth() { return this.image ? this.image.naturalWidth : 0; }
        get naturalHeight() { return this.image ? this.image.naturalHeight : 0; }

        build() {
            this.file = make("input", {type: "file", accept: "image/*", onchange: () => this.choose()});
            this.hint = make("button.canvas-hint", {type: "button", onclick: () => this.file.click()},
                make("span.canvas-hint-mark", {}, atelier.icon("image")), this.getAttribute("label") || "Choose a picture");
            this.view = make("canvas");
            this.cursor = make("div.canvas-cursor", {hidden: true});
            this.frame = make("div.canvas-frame", {"data-testid": "image", tabindex: 0}, this.view, this.cursor, this.hint, this.file);
            this.bar = make("div.canvas-bar");
            this.fillBar();
            this.append(this.bar, this.frame);
        }

        fillBar() {
            const button = (icon, title, action, name = "") => make("button.canvas-tool", {
                type: "button", title, "aria-label": title, "data-tool": name || null, onclick: () => { action(); this.refresh(); },
            }, atelier.icon(icon));
            const tools = [];
            if (this.paints) {
                this.size = make("input.canvas-size", {type: "range", min: 1, max: 300, value: 40, title: "Brush size: [ and ], or Ctrl+wheel",
                    "aria-label": "Brush size"});
                this.color = make("input.canvas-color", {type: "color", value: "#d05f38", title: "Colour", "aria-label": "Colour"});
                tools.push(
                    button("brush", "Brush (B)", () => { this.tool = "brush"; }, "brush"),
                    button("eraser", "Eraser (E, or right mouse button)", () => { this.tool = "eraser"; }, "eraser"),
                    button("hand", "Move (hold Space)", () => { this.tool = "hand"; }, "hand"), this.size);
                if (this.mode !== "mask") tools.push(this.color);
                tools.push(button("undo", "Undo (Ctrl+Z)", () => this.layer.undo()), button("redo", "Redo (Ctrl+Y)", () => this.layer.redo()));
                if (this.mode !== "sketch") {
                    this.opacity = make("input.canvas-opacity", {type: "range", min: 10, max: 100, value: 60, title: "How strongly the mask is shown",
                        "aria-label": "Mask opacity", oninput: () => this.paint()});
                    tools.push(button("fill", "Mask everything", () => this.layer.fill(this.ink)), button("invert", "Invert the mask", () => this.layer.invert(this.ink)));
                }
                tools.push(button("wipe", "Clear what was painted", () => this.layer.clear()));
                if (this.opacity) tools.push(this.opacity);
            }
            tools.push(make("span.canvas-space"), button("fit", "Fit into the frame (R)", () => this.fit()), button("close", "Remove the picture", () => this.remove_()));
            tools[tools.length - 1].setAttribute("aria-label", "Clear");
            this.bar.append(...tools);
        }

        get ink() { return this.mode === "mask" ? MASK_COLOR : this.color.value; }

        // -- giving it a picture

        async choose() {
            const file = this.file.files[0];
            this.file.value = "";
            if (file) await this.setFile(file);
        }

        async setFile(file) {
            const url = URL.createObjectURL(file);
            try {
                await this.load(url);
            } catch (error) {
                URL.revokeObjectURL(url);
                atelier.toast("This file is not a picture that the browser can show.", file.name || "", "error");
                return;
            }
            this.stored = null;
            this.sent = {};
            // On its way while the person paints.
            this.uploading = atelier.api.upload(file);
            this.uploading.catch((error) => atelier.toast(error.message, error.remedy, "error"));
            this.tell(file);
        }

        // A picture that the server has: {sha256, width, height}.
        async setStored(picture) {
            await this.load(atelier.api.pictureUrl(picture.sha256));
            const {sha256, width = 0, height = 0} = picture;
            this.stored = {sha256, width, height};
            this.uploading = null;
            this.sent = {};
            this.tell(null);
        }

        // Others hear that there is another picture; `file` is null when it came from the server.
        tell(file) { this.dispatchEvent(new CustomEvent("picture", {bubbles: true, detail: file})); }

        async load(url) {
            const image = new Image();
            image.src = url;
            await image.decode();
            const same = this.image && this.image.naturalWidth === image.naturalWidth && this.image.naturalHeight === image.naturalHeight;
            this.image = image;
            if (!same && this.size) {
                // A brush that suits the picture, whether that is an icon or a poster.
                const side = Math.max(image.naturalWidth, image.naturalHeight);
                this.size.max = Math.max(64, Math.round(side / 2));
                this.size.value = Math.max(6, Math.round(side / 10));
            }
            // A mask stays when the next picture has the same size: one often goes on with a result.
            if (!same || this.mode !== "mask") this.layer.reset(image.naturalWidth, image.naturalHeight);
            this.fit();
            this.refresh();
        }

        remove_() {
            this.image = null;
            this.stored = null;
            this.uploading = null;
            this.layer.reset(1, 1);
            this.paint();
            this.refresh();
            this.tell(null);
        }

        // -- what is sent: {sha256, width, height}

        async picture() {
            if (this.mode === "sketch" || this.mode === "color-mask") {
                if (this.painted) return this.once("blend", () => this.layer.blendBlob(this.image));
            }
            return this.original();
        }

        // The picture without what was painted on it.
        async original() {
            if (!this.stored) {
                const told = await this.uploading;
                this.stored = {sha256: told.sha256, width: told.width, height: told.height};
            }
            return this.stored;
        }

        mask() { return this.once("mask", () => this.layer.maskBlob()); }

        // Uploaded again only when something was painted since.
        async once(what, blob) {
            const kept = this.sent[what];
            if (kept && kept.version === this.layer.version) return kept.ref;
            const version = this.layer.version;
            const {sha256, width, height} = await atelier.api.upload(await blob());
            this.sent[what] = {version, ref: {sha256, width, height}};
            return this.sent[what].ref;
        }

        // -- showing

        fit(always = true) {
            const {clientWidth: width, clientHeight: height} = this.frame;
            if (!width || !height) return;
            const ratio = window.devicePixelRatio || 1;
            const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
            const resized = this.view.width !== w || this.view.height !== h;
            if (resized) Object.assign(this.view, {width: w, height: h});
            if (this.image && (always || resized)) {
                const zoom = Math.min(this.view.width / this.naturalWidth, this.view.height / this.naturalHeight);
                this.at = {zoom, x: (this.view.width - this.naturalWidth * zoom) / 2, y: (this.view.height - this.naturalHeight * zoom) / 2};
            }
            this.paint();
        }

        paint() {
            if (this.drawing) return;
            this.drawing = requestAnimationFrame(() => {
                this.drawing = 0;
                const pen = this.view.getContext("2d");
                pen.setTransform(1, 0, 0, 1, 0, 0);
                pen.clearRect(0, 0, this.view.width, this.view.height);
                if (!this.image) return;
                pen.setTransform(this.at.zoom, 0, 0, this.at.zoom, this.at.x, this.at.y);
                pen.imageSmoothingEnabled = this.at.zoom < 6;
                pen.drawImage(this.image, 0, 0);
                pen.globalAlpha = this.opacity ? this.opacity.value / 100 : 1;
                pen.drawImage(this.layer.canvas, 0, 0, this.naturalWidth, this.naturalHeight);
                pen.globalAlpha = 1;
            });
        }

        refresh() {
            this.classList.toggle("filled", this.hasPicture);
            this.classList.toggle("hand", this.tool === "hand");
            for (const button of this.bar.querySelectorAll("[data-tool]")) button.classList.toggle("chosen", button.dataset.tool === this.tool);
            this.paint();
        }

        place(event) {
            const box = this.view.getBoundingClientRect();
            const ratio = this.view.width / box.width;
            return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
        }

        toPicture([x, y]) { return [(x - this.at.x) / this.at.zoom, (y - this.at.y) / this.at.zoom]; }

        zoomAt([x, y], factor) {
            const zoom = Math.min(64, Math.max(0.02, this.at.zoom * factor));
            const real = zoom / this.at.zoom;
            this.at = {zoom, x: x - (x - this.at.x) * real, y: y - (y - this.at.y) * real};
            this.paint();
        }

        // -- hands

        listen() {
            const on = (name, action, options) => this.frame.addEventListener(name, action, options);
            on("pointerdown", (event) => this.down(event));
            on("pointermove", (event) => this.move(event));
            for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.up(event));
            on("pointerenter", () => { if (this.hasPicture && this.paints) this.frame.focus({preventScroll: true}); });
            on("pointerleave", () => { this.cursor.hidden = true; });
            on("contextmenu", (event) => { if (this.hasPicture && this.paints) { event.preventDefault(); event.stopPropagation(); } });
            on("wheel", (event) => this.wheel(event), {passive: false});
            on("keydown", (event) => this.key(event));
            on("keyup", (event) => { if (event.key === " ") this.space = false; });
            on("dragover", (event) => { event.preventDefault(); this.classList.add("dropping"); });
            on("dragleave", () => this.classList.remove("dropping"));
            on("drop", (event) => this.drop(event));
            document.addEventListener("paste", (event) => {
                if (!this.isConnected || !uiElementIsVisible(this.frame) || event.target.closest("input, textarea")) return;
                const file = [...event.clipboardData.files].find((found) => found.type.startsWith("image/"));
                // Where two canvases are shown, the empty one takes it.
                if (!file || event.defaultPrevented) return;
                event.preventDefault();
                this.setFile(file);
            });
        }

        async drop(event) {
            event.preventDefault();
            this.classList.remove("dropping");
            const file = event.dataTransfer.files[0];
            if (file) return this.setFile(file);
            const url = event.dataTransfer.getData("text/uri-list");
            const own = /\/atelier\/v1\/pictures\/([0-9a-f]{64})$/.exec(url || "");
            if (own) await this.setStored({sha256: own[1]});
        }

        down(event) {
            if (!this.hasPicture || event.target.closest("button, input")) return;
            event.preventDefault();
            this.frame.focus({preventScroll: true});
            this.frame.setPointerCapture(event.pointerId);
            this.pointers.set(event.pointerId, this.place(event));
            if (this.pointers.size === 2) return this.pinchBegin();
            if (!this.paints || event.button === 1 || event.altKey || this.space || this.tool === "hand") {
                this.pan = {from: this.place(event), x: this.at.x, y: this.at.y};
                return;
            }
            this.stroke = {erase: this.tool === "eraser" || event.button === 2 || event.shiftKey, last: this.toPicture(this.place(event))};
            this.layer.begin();
            this.draw(this.stroke.last);
        }

        draw(point) {
            this.layer.line(this.stroke.last, point, {size: Number(this.size.value), color: this.ink, erase: this.stroke.erase});
            this.stroke.last = point;
            this.paint();
        }

        move(event) {
            this.showCursor(event);
            if (!this.pointers.has(event.pointerId)) return;
            this.pointers.set(event.pointerId, this.place(event));
            if (this.pinch) return this.pinchMove();
            if (this.pan) {
                const [x, y] = this.place(event);
                Object.assign(this.at, {x: this.pan.x + x - this.pan.from[0], y: this.pan.y + y - this.pan.from[1]});
                this.paint();
            } else if (this.stroke) {
                const points = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
                for (const one of points.length ? points : [event]) this.draw(this.toPicture(this.place(one)));
            }
        }

        up(event) {
            if (!this.pointers.delete(event.pointerId)) return;
            if (this.stroke) {
                this.layer.end();
                this.stroke = null;
                this.dispatchEvent(new CustomEvent("painted", {bubbles: true}));
            }
            this.pan = null;
            if (this.pointers.size < 2) this.pinch = null;
        }

        // Two fingers move and zoom; what one of them had begun to paint is taken back.
        pinchBegin() {
            if (this.stroke) {
                this.layer.end();
                this.layer.undo();
                this.stroke = null;
            }
            this.pan = null;
            this.pinch = this.fingers();
        }

        pinchMove() {
            const now = this.fingers();
            this.at.x += now.middle[0] - this.pinch.middle[0];
            this.at.y += now.middle[1] - this.pinch.middle[1];
            this.zoomAt(now.middle, now.apart / this.pinch.apart);
            this.pinch = now;
        }

        fingers() {
            const [a, b] = [...this.pointers.values()];
            return {middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]))};
        }

        wheel(event) {
            if (!this.hasPicture || (!this.paints && !event.ctrlKey && document.activeElement !== this.frame)) return;
            event.preventDefault();
            const up = event.deltaY < 0;
            if (event.ctrlKey && this.paints) this.resize(up ? 1.1 : 1 / 1.1);
            else this.zoomAt(this.place(event), up ? WHEEL : 1 / WHEEL);
            this.showCursor(event);
        }

        resize(factor) {
            const size = Number(this.size.value);
            this.size.value = factor > 1 ? Math.max(size + 1, size * factor) : Math.min(size - 1, size * factor);
        }

        key(event) {
            if (!this.hasPicture) return;
            const control = event.ctrlKey || event.metaKey;
            const key = event.key.toLowerCase();
            const actions = {
                "[": () => this.resize(1 / 1.2), "]": () => this.resize(1.2), b: () => { this.tool = "brush"; },
                e: () => { this.tool = "eraser"; }, r: () => this.fit(), " ": () => { this.space = true; },
            };
            if (control && this.paints && key === "z") event.shiftKey ? this.layer.redo() : this.layer.undo();
            else if (control && this.paints && key === "y") this.layer.redo();
            else if (!control && actions[key] && (this.paints || key === "r")) actions[key]();
            else return;
            event.preventDefault();
            event.stopPropagation();
            this.refresh();
        }

        showCursor(event) {
            const shown = this.hasPicture && this.paints && event.pointerType !== "touch" && this.tool !== "hand" && !this.space;
            this.cursor.hidden = !shown;
            if (!shown) return;
            const box = this.frame.getBoundingClientRect();
            const size = Math.max(3, (Number(this.size.value) * this.at.zoom) / (this.view.width / box.width));
            Object.assign(this.cursor.style, {
                width: `${size}px`, height: `${size}px`, left: `${event.clientX - box.left - size / 2}px`, top: `${event.clientY - box.top - size / 2}px`,
            });
        }
    }
    customElements.define("atelier-canvas", Canvas);
})();
