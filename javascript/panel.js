// Panel: one generation tab. Sends its values, follows its job, shows what comes of it, and finds it again after a reload.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const QUEUE_LOOK = 2000;

    class Panel {
        constructor(tab) {
            Object.assign(this, {tab, job: null, following: null, pictures: [], stage: "", waiting: [], notes: [], forever: null});
            this.pace = new atelier.Pace();
        }

        find(id) { return document.getElementById(id); }
        get gallery() { return document.querySelector(`#${this.tab}_gallery atelier-gallery`); }
        get progress() { return document.querySelector(`#${this.tab}_progress atelier-progress`); }
        get running() { return this.job !== null; }

        // -- Generate

        // What goes to the server with the values of the controls: the id under which the page will find the job again.
        async submit(values) {
            this.clearError();
            if (atelier.status.waiting) {
                this.awaitModel();
                return atelier.wire({cancelled: true}, values);
            }
            const told = {id: atelier.jobId(this.tab)};
            try {
                Object.assign(told, await this.sources());
                atelier.hires.tell(this, told);
            } catch (error) {
                this.fail(error);
                return atelier.wire({cancelled: true}, values);
            }
            this.remember(told.id);
            if (!this.running) {
                this.setBusy(true);
                this.progress.show({text: "Sending…"});
            }
            if (!atelier.status.settled) told.unchosen = ["size.width", "size.height"];
            return atelier.wire(told, values);
        }

        async sources() { return {}; }

        upscale() { atelier.hires.begin(this); }

        // Who is quicker than the model gets a picture in the model's own size all the same.
        awaitModel() {
            this.awaiting = true;
            this.setBusy(true);
            this.progress.show({text: "Waiting for the model…"});
        }

        // Begins when the first click has been answered: until then Gradio takes no second one.
        lookForModel() {
            setTimeout(() => {
                if (!this.awaiting) return;
                if (atelier.status.waiting) return this.lookForModel();
                this.awaiting = false;
                this.generate();
            }, 200);
        }

        // What the controls hold is kept for the next visit; a size that nobody chose is not.
        keeping(values) {
            return atelier.wire(atelier.status.settled ? {} : {unchosen: ["size.width", "size.height"]}, values);
        }

        submitted(ticket) {
            if (this.awaiting) return this.lookForModel();
            const told = ticket ? JSON.parse(ticket) : null;
            if (told && told.id) {
                if (this.running && this.job !== told.id) this.waiting.push(told.id);
                else this.attach(told.id);
                return;
            }
            if (!this.running) {
                this.setBusy(false);
                this.progress.hide();
            }
            if (told && told.error) this.fail(told.error);
        }

        remember(id) { localSet(`atelier-${this.tab}-job`, id); }

        // After a reload, or in a second browser: the job of this page, else one that runs, else the last one's pictures.
        async restore() {
            const own = localGet(`atelier-${this.tab}-job`, "");
            if (own) return this.attach(own);
            try {
                const found = await atelier.jobs.list({state: "running,queued", kind: this.tab, limit: 20});
                const first = found.jobs.find((job) => job.id === found.running) || found.jobs[found.jobs.length - 1];
                if (first) this.attach(first.id);
            } catch (error) {
                console.warn("jobs are not known", error.message);
            }
        }

        attach(id) {
            if (this.following) this.following.stop();
            Object.assign(this, {job: id, last: id, pictures: [], stage: "", fresh: true, ending: "", notes: []});
            this.pace = new atelier.Pace();
            this.setBusy(true);
            this.progress.hidePreview();
            this.progress.show({text: "Waiting…"});
            this.following = atelier.jobs.follow(id, {
                heard: (event) => this.heard(event),
                seen: (details) => this.seen(details),
                lost: () => this.finish("lost"),
            });
        }

        heard(event) {
            if (event.kind === "JobQueued") this.queued(event.position);
            if (event.kind === "JobStarted") this.started();
            if (event.kind === "StageChanged") { this.stage = event.stage; this.show(); }
            if (event.kind === "StepDone") this.step(event);
            if (event.kind === "PreviewReady") this.progress.showPreview(`data:${event.media};base64,${event.data}`);
            if (event.kind === "PictureReady") this.add(event);
            if (event.kind === "Notice") this.note(event.message, event.level);
            if (event.kind === "JobFinished") this.finish(event.state, event.seconds);
            if (event.kind === "JobFailed") { this.finish("failed"); this.fail(event.error); }
        }

        // The whole job at once, where its events did not reach us.
        seen(details) {
            if (details.pictures.length) this.take(details.pictures);
            if (details.state === "queued") this.queued(details.position || 0);
            if (details.progress) {
                this.stage = details.progress.stage;
                const {fraction, step, steps, seconds_left: left} = details.progress;
                this.show(steps ? {fraction, step, steps, left} : null);
            }
            if (!atelier.jobs.isFinal(details.state)) return;
            const seconds = details.finished && details.started ? details.finished - details.started : 0;
            this.finish(details.state, seconds, false);
            if (details.state === "failed" && details.error) this.fail(details.error);
        }

        queued(position) {
            const before = position > 0 ? `${position} before it` : "next";
            this.progress.show({text: `In the queue, ${before}`});
            clearTimeout(this.queueTimer);
            this.isQueued = true;
            this.queueTimer = setTimeout(() => this.lookAtQueue(this.job), QUEUE_LOOK);
        }

        // Places change without an event of this job.
        async lookAtQueue(id) {
            if (this.job !== id || !this.isQueued) return;
            try {
                const details = await atelier.api.get(`atelier/v1/jobs/${encodeURIComponent(id)}`);
                if (this.job === id && this.isQueued && details.state === "queued") this.queued(details.position || 0);
            } catch (error) {
                console.warn("place in the queue is not known", error.message);
            }
        }

        started() {
            this.isQueued = false;
            this.stage = "starting";
            this.show();
        }

        step(event) {
            this.isQueued = false;
            this.pace.step(event);
            this.show({fraction: Math.min(0.99, event.step / Math.max(1, event.steps)), step: event.step, steps: event.steps, left: this.pace.left});
        }

        show(at = this.at) {
            this.at = at;
            const parts = [];
            if (at) {
                parts.push(`${Math.round(at.fraction * 100)}%`, `step ${at.step}/${at.steps}`);
                if (at.left !== null && at.left !== undefined) parts.push(`${formatTime(Math.ceil(at.left))} left`);
                if (this.stage && this.stage !== "sampling") parts.push(this.stage);
            } else {
                parts.push(this.stage ? `${this.stage[0].toUpperCase()}${this.stage.slice(1)}…` : "Running…");
            }
            if (this.waiting.length) parts.push(`${this.waiting.length} more waiting`);
            this.progress.show({text: parts.join(" · "), fraction: at ? at.fraction : undefined});
            if (atelier.tabs.current() === this.tab || at) setTitle(at ? `${Math.round(at.fraction * 100)}%` : "…");
        }

        add(event) {
            const others = this.pictures.filter((picture) => picture.sha256 !== event.sha256);
            this.pictures = [...others, {...event}];
            this.progress.hidePreview();
            this.gallery.set(atelier.hires.arranged(this), event.sha256);
            this.fresh = false;
        }

        take(pictures) {
            this.pictures = pictures.map((picture) => ({...picture}));
            this.progress.hidePreview();
            this.gallery.set(atelier.hires.arranged(this), atelier.hires.first(this));
            this.fresh = false;
        }

        async finish(state, seconds = 0, complete = true) {
            const id = this.job;
            if (this.following) this.following.stop();
            Object.assign(this, {job: null, following: null, isQueued: false, at: null});
            this.setBusy(false);
            this.progress.hide();
            setTitle("");
            const words = {done: "", stopped: "Interrupted. ", cancelled: "Cancelled. ", failed: "", lost: ""}[state] || "";
            const took = seconds ? `Time taken: ${seconds < 100 ? seconds.toFixed(1) + " s" : formatTime(seconds)}` : "";
            if (words || took) this.note(words + took);
            if (state === "lost") localRemove(`atelier-${this.tab}-job`);
            if (complete && state !== "lost") await this.complete(id);
            this.fillInfo();
            const next = this.waiting.shift();
            if (next) this.attach(next);
            document.dispatchEvent(new CustomEvent("atelier:finished", {detail: {tab: this.tab, state, id}}));
        }

        // The job's own list is in the right order and holds grids.
        async complete(id) {
            try {
                const pictures = await atelier.api.get(`atelier/v1/jobs/${encodeURIComponent(id)}/pictures`);
                if (this.job === null && pictures.length) this.take(pictures);
                if (this.job === null && !pictures.length && this.fresh && !atelier.hires.of(this)) this.gallery.clear();
            } catch (error) {
                console.warn("pictures of the job are not known", error.message);
            }
        }

        // What A1111's hidden text of a gallery holds.
        fillInfo() {
            const text = document.querySelector(`#generation_info_${this.tab} textarea`);
            if (!text) return;
            const shown = this.gallery.pictures;
            const seeds = shown.map((picture) => picture.seed);
            const first = shown.findIndex((picture) => picture.role !== "grid");
            text.value = JSON.stringify({
                infotexts: shown.map((picture) => picture.infotext), all_seeds: seeds.slice(Math.max(0, first)),
                seed: seeds[Math.max(0, first)], index_of_first_image: Math.max(0, first),
            });
            updateInput(text);
        }

        // -- ending

        interrupt() {
            if (this.awaiting) {
                this.awaiting = false;
                this.setBusy(false);
                this.progress.hide();
            }
            if (!this.job) return;
            const mode = opts.interrupt_after_current && this.ending !== "finish" && !this.isQueued ? "finish" : "stop";
            this.ending = mode;
            this.setBusy(true, true);
            this.end(mode);
        }

        skip() { if (this.job) this.end("skip"); }

        async end(mode) {
            try {
                await atelier.jobs.cancel(this.job, mode);
            } catch (error) {
                if (error.code !== "conflict" && error.code !== "not_found") this.fail(error);
            }
        }

        generate() {
            const button = this.find(`${this.tab}_generate`);
            if (button) button.click();
        }

        generateForever() {
            this.stopForever();
            this.forever = setInterval(() => { if (!this.running && !this.sending) this.generate(); }, 500);
            this.generate();
        }

        stopForever() {
            clearInterval(this.forever);
            this.forever = null;
        }

        setBusy(busy, ending = false) {
            this.sending = busy && !this.job;
            const box = this.find(`${this.tab}_generate_box`);
            if (!box) return;
            box.classList.toggle("busy", busy);
            box.classList.toggle("ending", busy && ending);
        }

        // -- messages

        fail(error) {
            this.stopForever();
            this.clearError();
            const box = make("div.panel-error", {role: "alert", id: `${this.tab}_error`},
                make("strong", {}, error.message || String(error)));
            if (error.remedy) box.append(" ", make("span", {}, error.remedy));
            box.append(make("button.panel-error-close", {type: "button", title: "Close", onclick: () => this.clearError()}, atelier.icon("close")));
            this.find(`${this.tab}_toprow`).after(box);
            this.mark((error.fields || {}).field || "");
        }

        // The control of the refused value.
        mark(field) {
            const name = field.split(".").pop();
            const element = name && (this.find(`${this.tab}_${name}`) || this.find(name));
            if (!element) return;
            element.classList.add("refused");
            element.scrollIntoView({block: "nearest"});
        }

        clearError() {
            for (const box of document.querySelectorAll(`#${this.tab}_error`)) box.remove();
            for (const element of document.querySelectorAll(`#tab_${this.tab} .refused`)) element.classList.remove("refused");
        }

        // What a job has to say beside its pictures.
        note(text, level = "info") {
            if (!this.notes.some((note) => note.text === text)) this.notes.push({text, level});
            const host = this.find(`html_log_${this.tab}`);
            if (host) atelier.fillHtml(host, ...this.notes.map((note) => make(`p.${note.level}`, {}, note.text)));
        }

        // -- the chosen picture

        chosen(picture) {
            const host = this.find(`html_info_${this.tab}`);
            if (host) atelier.fillHtml(host, ...(picture ? atelier.infotextParts(picture.infotext) : []));
            const buttons = this.find(`image_buttons_${this.tab}`);
            if (buttons) buttons.classList.toggle("idle", !picture);
        }

        reuse() {
            const picture = this.gallery.selected;
            if (picture) this.paste(picture.infotext);
        }

        reuseSeed(kind) {
            const shown = this.gallery.selected;
            const picture = shown && shown.role === "grid" ? this.gallery.pictures.find((p) => p.role !== "grid") : shown;
            if (!picture) return atelier.toast("There is no picture yet.");
            const told = kind === "subseed" ? /Variation seed: (\d+)/.exec(picture.infotext) : null;
            const value = kind === "seed" ? picture.seed : told ? told[1] : -1;
            atelier.setNumber(`${this.tab}_${kind}`, value);
        }

        sendTo(place) {
            const picture = this.gallery.selected;
            if (!picture) return atelier.toast("There is no picture yet.");
            if (place === "extras") return atelier.panels.extras.receive(picture);
            atelier.panels.img2img.receive(picture, place, this.tab !== "img2img");
        }

        // -- pasting

        paste(text, more = {}) {
            this.pending = {text, ...more};
            atelier.present(`#${this.tab}_paste_apply`).then((button) => button.click());
        }

        pasting(values) {
            const told = this.pending || {};
            this.pending = null;
            // A pasted size was chosen by somebody.
            if (/\bSize: \d+x\d+/.test(told.text ?? atelier.prompts.area(this.tab, "prompt").value)) atelier.status.settled = true;
            return atelier.wire(told, values);
        }

        pasted() { atelier.prompts.count(this.tab); }
    }

    atelier.Panel = Panel;
    atelier.panels = {};
})();

function setRandomSeed(elemId) { atelier.setNumber(elemId, -1); return []; }
function switchWidthHeight(tab) {
    const [width, height] = [atelier.getNumber(`${tab}_width`), atelier.getNumber(`${tab}_height`)];
    atelier.setNumber(`${tab}_width`, height);
    atelier.setNumber(`${tab}_height`, width);
    return [];
}
function showSubmitButtons(tab, show) { const panel = atelier.panels[tab]; if (panel) panel.setBusy(!show); }
function submit() { return Array.from(arguments); }
function create_submit_args(values) { return Array.from(values); }
