// Following a job: events as they come while the page is seen, now and then a look while it is not.
//
// A browser allows few connections to one host, so a page that nobody sees holds none open.
window.atelier = window.atelier || {};

(function () {
    const KINDS = ["JobQueued", "JobStarted", "StageChanged", "StepDone", "PreviewReady", "PictureReady", "Notice",
        "JobFinished", "JobFailed"];
    const FINAL = ["done", "stopped", "cancelled", "failed"];
    const HIDDEN_PERIOD = 3000;
    const RETRY = 1500;

    class Following {
        // `heard(event)` is called for each event, `seen(details)` for each look at the whole job, `lost(error)` when
        // the job is not there any more.
        constructor(id, {heard, seen, lost}) {
            Object.assign(this, {id, heard, seen, lost, last: 0, ended: false, source: null, timer: null});
            this.turned = () => this.go();
            document.addEventListener("visibilitychange", this.turned);
            this.go();
        }

        go() {
            if (this.ended) return;
            clearTimeout(this.timer);
            if (document.hidden) {
                this.close();
                this.look();
            } else if (!this.source) {
                this.open();
            }
        }

        open() {
            const url = new URL(`atelier/v1/jobs/${encodeURIComponent(this.id)}/events?after=${this.last}`, document.baseURI);
            this.source = new EventSource(url);
            for (const kind of KINDS) this.source.addEventListener(kind, (message) => this.take(JSON.parse(message.data)));
            this.source.onerror = () => {
                // The stream ended or broke; the whole job tells which.
                this.close();
                clearTimeout(this.timer);
                this.timer = setTimeout(() => this.look(), this.ended ? 0 : RETRY / 3);
            };
        }

        take(event) {
            if (this.ended || event.seq <= this.last) return;
            this.last = event.seq;
            const final = event.kind === "JobFinished" || event.kind === "JobFailed";
            if (final) this.stop();
            this.heard(event);
        }

        async look() {
            if (this.ended) return;
            let details;
            try {
                details = await atelier.api.get(`atelier/v1/jobs/${encodeURIComponent(this.id)}`);
            } catch (error) {
                if (this.ended) return;
                if (error.code === "not_found") {
                    this.stop();
                    this.lost(error);
                } else {
                    this.timer = setTimeout(() => this.look(), RETRY);
                }
                return;
            }
            if (this.ended) return;
            if (FINAL.includes(details.state)) this.stop();
            this.seen(details);
            if (!this.ended) this.timer = setTimeout(() => (document.hidden ? this.look() : this.go()), document.hidden ? HIDDEN_PERIOD : RETRY);
        }

        close() {
            if (this.source) this.source.close();
            this.source = null;
        }

        stop() {
            this.ended = true;
            this.close();
            clearTimeout(this.timer);
            document.removeEventListener("visibilitychange", this.turned);
        }
    }

    atelier.jobs = {
        follow: (id, handlers) => new Following(id, handlers),
        cancel: (id, mode) => atelier.api.post(`atelier/v1/jobs/${encodeURIComponent(id)}/cancel`, {mode}),
        list: (query) => atelier.api.get(`atelier/v1/jobs?${new URLSearchParams(query)}`),
        // When the job has ended. Rejected with its failure.
        ended: (id) => new Promise((resolve, reject) => new Following(id, {
            heard(event) {
                if (event.kind === "JobFailed") reject(event.error);
                if (event.kind === "JobFinished") resolve();
            },
            seen(details) {
                if (FINAL.includes(details.state)) (details.error ? reject(details.error) : resolve());
            },
            lost: reject,
        })),
        isFinal: (state) => FINAL.includes(state),
    };
})();
