// <atelier-queue>: jobs that run, wait or have ended; to end, to move, to look at.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const PERIOD = 1500;
    const WORDS = {queued: "waiting", paused: "held", running: "running", done: "done", stopped: "interrupted", cancelled: "cancelled", failed: "failed"};

    // Work that is no generation, as it is called here.
    const OTHERS = {merge: "Checkpoint Merger", lora_merge: "Merge LoRAs", lora_extract: "Extract a LoRA", lora_resize: "Resize a LoRA", lora_bake: "Bake LoRAs into a checkpoint", replay: "Run again and compare"};

    class Queue extends HTMLElement {
        connectedCallback() {
            if (this.list) return;
            this.details = new Map();
            this.head = make("div.list-head");
            this.list = make("div.job-list");
            this.append(this.head, this.list);
            this.timer = setInterval(() => this.look(), PERIOD);
            onUiTabChange(() => this.look());
        }

        disconnectedCallback() { clearInterval(this.timer); }

        async look() {
            if (document.hidden || atelier.tabs.current() !== "queue" || this.looking) return;
            this.looking = true;
            try {
                const told = await atelier.api.get("atelier/v1/jobs?limit=40");
                const jobs = told.jobs.filter((job) => ["txt2img", "img2img", "extras"].includes(job.kind) || OTHERS[job.kind]);
                await Promise.all(jobs.map((job) => this.learn(job)));
                this.render(told, jobs);
            } catch (error) {
                this.head.replaceChildren(make("span.quiet", {}, error.message));
            } finally {
                this.looking = false;
            }
        }

        // What was asked never changes, what came of it changes until the job ends.
        async learn(job) {
            const known = this.details.get(job.id);
            if (known && (known.state === job.state) && job.state !== "running") return;
            const found = await atelier.api.get(`atelier/v1/jobs/${encodeURIComponent(job.id)}`);
            this.details.set(job.id, found);
        }

        render(told, jobs) {
            const rank = (job) => (job.state === "running" ? -1 : job.position !== null ? job.position : 1000);
            const active = jobs.filter((job) => !atelier.jobs.isFinal(job.state)).sort((a, b) => rank(a) - rank(b));
            const ended = jobs.filter((job) => atelier.jobs.isFinal(job.state));
            const hold = make("button.list-button", {type: "button", onclick: () => this.act(told.paused ? "queue/resume" : "queue/pause")},
                atelier.icon(told.paused ? "play" : "pause"), told.paused ? "Go on" : "Hold the queue");
            const waiting = told.queue.length;
            const text = `${told.running ? "1 running" : "Nothing runs"}, ${waiting} waiting${told.paused ? ", held" : ""}`;
            this.head.replaceChildren(make("span", {}, text), hold);
            this.list.replaceChildren(...[...active, ...ended].map((job) => this.row(job)));
            if (!jobs.length) this.list.replaceChildren(make("p.quiet", {}, "Jobs appear here when you press Generate."));
        }

        row(job) {
            const known = this.details.get(job.id);
            const request = known.request;
            const facts = job.kind === "extras" ? this.extrasFacts(request) : OTHERS[job.kind] ? this.otherFacts(known) : this.facts(job.kind, request);
            const buttons = make("div.job-buttons");
            if (!atelier.jobs.isFinal(job.state)) {
                if (job.position > 0) buttons.append(this.button("up", "Next in the queue", () => this.act(`jobs/${encodeURIComponent(job.id)}/move`, {position: 0})));
                buttons.append(this.button("close", job.state === "running" ? "Interrupt" : "Remove from the queue", () => this.act(`jobs/${encodeURIComponent(job.id)}/cancel`, {mode: "stop"})));
            } else if (job.kind !== "extras" && !OTHERS[job.kind]) {
                const script = ((request.extras || {}).script || {}).name;
                const batch = (request.extras || {}).picture_batch;
                if ((script || batch) && job.state !== "done") buttons.append(this.button("play", "Go on where it was", () => this.resume(job)));
                if (known.pictures.length) buttons.append(this.button("reuse", "Use these parameters", () => this.use(known)));
            }
            const fraction = job.progress ? job.progress.fraction : null;
            return make(`div.job.${job.state}`, {},
                make("div.job-pictures", {}, ...known.pictures.slice(0, 4).map((picture, index) => make("img", {
                    src: atelier.api.pictureUrl(picture.sha256), alt: "", loading: "lazy", onclick: () => atelier.lightbox.open(known.pictures, index),
                }))),
                make("div.job-text", {},
                    make("div.job-prompt", {}, request.prompt ? request.prompt.positive || "(no prompt)" : OTHERS[job.kind] || "Extras"),
                    make("div.job-facts", {}, facts.filter(Boolean).join(" · ")),
                    job.error ? make("div.job-error", {}, `${job.error.message} ${job.error.remedy || ""}`) : null,
                    fraction === null ? null : make("div.job-bar", {}, make("div", {style: `width:${(fraction * 100).toFixed(0)}%`}))),
                make("span.job-state", {}, job.position > 0 ? `waiting, ${job.position} before` : WORDS[job.state] || job.state),
                buttons);
        }

        facts(kind, request) {
            const count = request.batch.count * request.batch.size;
            return [kind, ((request.extras || {}).script || {}).name, `${request.size.width}×${request.size.height}`, `${request.sampling.steps} steps`, request.sampling.sampler, count > 1 ? `${count} pictures` : ""];
        }

        otherFacts(job) {
            const asked = job.request, made = job.result || {};
            const names = [asked.primary_model_name, asked.secondary_model_name, asked.tertiary_model_name, asked.base_model, asked.tuned_model, asked.model, asked.network, ...(asked.networks || [])];
            return [...names, made.model || made.network ? `made ${made.model || made.network}` : ""];
        }

        extrasFacts(request) {
            const steps = Object.entries(request).filter(([, part]) => part && part.enabled === true).map(([name]) => name);
            const count = request.input.images.length;
            const source = request.input.folder || (count === 1 ? "1 picture" : `${count} pictures`);
            return [source, steps.includes("upscale") ? request.upscale.upscaler_1 : "", steps.filter((name) => name !== "upscale").join(", ")];
        }

        button(icon, title, action) {
            return make("button.tool", {type: "button", title, "aria-label": title, onclick: action}, atelier.icon(icon));
        }

        // The finished pictures of a grid are taken over; the page of its tab follows the new job.
        async resume(job) {
            try {
                const ticket = await atelier.api.post(`atelier/v1/jobs/${encodeURIComponent(job.id)}/resume`, {});
                atelier.panels[job.kind].submitted(JSON.stringify(ticket));
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
            this.look();
        }

        use(job) {
            const tab = job.kind;
            atelier.tabs.open(`tab_${tab}`);
            atelier.panels[tab].paste(job.pictures[0].infotext);
        }

        async act(path, body = {}) {
            try {
                await atelier.api.post(`atelier/v1/${path}`, body);
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
            this.look();
        }
    }
    customElements.define("atelier-queue", Queue);
})();
