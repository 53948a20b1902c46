// The painted layer over a picture: strokes, fill, invert, undo and redo, and the pictures that are made of it.
window.atelier = window.atelier || {};

(function () {
    // What undo may keep in all, in bytes of pixels.
    const HISTORY = 96 << 20;
    // Browsers do not paint well on more; the server fits a mask to its picture.
    const LONGEST = 4096;

    atelier.Layer = class {
        constructor() {
            this.canvas = document.createElement("canvas");
            this.pen = this.canvas.getContext("2d", {willReadFrequently: true});
            this.before = document.createElement("canvas");
            this.reset(1, 1);
        }

        // A clean layer for a picture of this size. `scale` is layer pixels for one of the picture's.
        reset(width, height) {
            this.scale = Math.min(1, LONGEST / Math.max(width, height));
            for (const canvas of [this.canvas, this.before]) {
                canvas.width = Math.max(1, Math.round(width * this.scale));
                canvas.height = Math.max(1, Math.round(height * this.scale));
            }
            Object.assign(this, {undone: [], done: [], bytes: 0, box: null, version: 0, painted: false});
        }

        // -- strokes, in pixels of the picture

        begin() {
            const keep = this.before.getContext("2d");
            keep.clearRect(0, 0, this.before.width, this.before.height);
            keep.drawImage(this.canvas, 0, 0);
            this.box = null;
        }

        line(from, to, {size, color, erase}) {
            const s = this.scale;
            const pen = this.pen;
            pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
            pen.strokeStyle = color;
            pen.lineCap = pen.lineJoin = "round";
            pen.lineWidth = Math.max(1, size * s);
            pen.beginPath();
            pen.moveTo(from[0] * s, from[1] * s);
            // A line without length paints nothing.
            pen.lineTo(to[0] * s + 0.01, to[1] * s);
            pen.stroke();
            const reach = size / 2 + 2;
            this.touch(Math.min(from[0], to[0]) - reach, Math.min(from[1], to[1]) - reach,
                Math.max(from[0], to[0]) + reach, Math.max(from[1], to[1]) + reach);
        }

        touch(left, top, right, bottom) {
            const s = this.scale;
            const box = [Math.floor(left * s), Math.floor(top * s), Math.ceil(right * s), Math.ceil(bottom * s)];
            this.box = this.box
                ? [Math.min(this.box[0], box[0]), Math.min(this.box[1], box[1]), Math.max(this.box[2], box[2]), Math.max(this.box[3], box[3])]
                : box;
        }

        // The stroke is over: what it changed is kept for undo.
        end() {
            if (!this.box) return;
            const [left, top] = [Math.max(0, this.box[0]), Math.max(0, this.box[1])];
            const width = Math.min(this.canvas.width, this.box[2]) - left;
            const height = Math.min(this.canvas.height, this.box[3]) - top;
            this.box = null;
            if (width <= 0 || height <= 0) return;
            this.keep(left, top, this.before.getContext("2d").getImageData(left, top, width, height));
        }

        keep(left, top, pixels) {
            this.done.push({left, top, pixels});
            this.undone = [];
            this.bytes += pixels.data.length;
            while (this.bytes > HISTORY && this.done.length > 1) this.bytes -= this.done.shift().pixels.data.length;
            this.changed();
        }

        changed() {
            this.version += 1;
            this.painted = this.anything();
        }

        step(from, to) {
            const last = from.pop();
            if (!last) return false;
            const {left, top, pixels} = last;
            to.push({left, top, pixels: this.pen.getImageData(left, top, pixels.width, pixels.height)});
            this.pen.putImageData(pixels, left, top);
            this.changed();
            return true;
        }

        undo() { return this.step(this.done, this.undone); }
        redo() { return this.step(this.undone, this.done); }

        // -- the whole layer

        whole(action) {
            const {width, height} = this.canvas;
            const pixels = this.pen.getImageData(0, 0, width, height);
            this.pen.globalCompositeOperation = "source-over";
            action(this.pen, width, height);
            this.keep(0, 0, pixels);
        }

        clear() { if (this.painted) this.whole((pen, width, height) => pen.clearRect(0, 0, width, height)); }

        fill(color) {
            this.whole((pen, width, height) => {
                pen.fillStyle = color;
                pen.fillRect(0, 0, width, height);
            });
        }

        invert(color) {
            this.whole((pen, width, height) => {
                pen.globalCompositeOperation = "xor";
                pen.fillStyle = color;
                pen.fillRect(0, 0, width, height);
                pen.globalCompositeOperation = "source-over";
            });
        }

        anything() {
            const data = new Uint32Array(this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height).data.buffer);
            return data.some((pixel) => pixel !== 0);
        }

        // -- what is sent

        // White where something was painted, black elsewhere.
        maskBlob() {
            const made = document.createElement("canvas");
            made.width = this.canvas.width;
            made.height = this.canvas.height;
            const pen = made.getContext("2d");
            pen.drawImage(this.canvas, 0, 0);
            pen.globalCompositeOperation = "source-in";
            pen.fillStyle = "#fff";
            pen.fillRect(0, 0, made.width, made.height);
            pen.globalCompositeOperation = "destination-over";
            pen.fillStyle = "#000";
            pen.fillRect(0, 0, made.width, made.height);
            return blobOf(made);
        }

        // The picture with what was painted on it.
        blendBlob(image) {
            const made = document.createElement("canvas");
            made.width = this.canvas.width;
            made.height = this.canvas.height;
            const pen = made.getContext("2d");
            pen.drawImage(image, 0, 0, made.width, made.height);
            pen.drawImage(this.canvas, 0, 0);
            return blobOf(made);
        }
    };

    function blobOf(canvas) {
        return new Promise((resolve, reject) => {
            canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser could not make a picture of the canvas."))), "image/png");
        });
    }
})();
