// Helpers of the panels: number boxes, HTML components, and parameters as a person reads them.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    // Sets a number box or slider as if it had been typed.
    atelier.setNumber = function (elemId, value) {
        for (const input of document.querySelectorAll(`#${elemId} input[type=number]`)) {
            input.value = value;
            updateInput(input);
            input.dispatchEvent(new Event("change", {bubbles: true}));
            input.dispatchEvent(new Event("blur", {bubbles: true}));
        }
    };
    atelier.getNumber = function (elemId) {
        const input = document.querySelector(`#${elemId} input[type=number]`);
        return input ? Number(input.value) : NaN;
    };

    // Into an HTML component of Gradio, whatever it wraps its content in.
    atelier.fillHtml = function (component, ...children) {
        let host = component.querySelector(".atelier-fill");
        if (!host) {
            host = make("div.atelier-fill");
            (component.querySelector(".html-container") || component).append(host);
        }
        host.replaceChildren(...children);
    };

    // Parameters as a person reads them: prompt, negative prompt, then names and values.
    atelier.infotextParts = function (text) {
        if (!text) return [];
        const lines = text.split("\n");
        const last = /^[\w \-/]+: /.test(lines[lines.length - 1]) ? lines.pop() : "";
        const prompt = lines.join("\n");
        const [positive, ...negative] = prompt.split(/\nNegative prompt: |^Negative prompt: /);
        const parts = [];
        if (positive) parts.push(make("p.infotext-prompt", {}, positive));
        if (negative.length) parts.push(make("p.infotext-negative", {}, make("b", {}, "Negative prompt: "), negative.join("\n")));
        if (last) {
            const line = make("p.infotext-values");
            for (const [, key, value] of last.matchAll(/\s*([\w \-/]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)/g)) {
                line.append(make("span", {}, make("b", {}, `${key}: `), value), " ");
            }
            parts.push(line);
        }
        parts.push(make("button.copy-infotext", {type: "button", title: "Copy the parameters", onclick: () => atelier.copy(text)}, atelier.icon("copy"), "Copy"));
        return parts;
    };

    atelier.copy = async function (text) {
        try {
            await navigator.clipboard.writeText(text);
        } catch (error) {
            // Pages on the local network without TLS have no clipboard of their own.
            const area = make("textarea", {style: "position:fixed;opacity:0"});
            area.value = text;
            document.body.append(area);
            area.select();
            document.execCommand("copy");
            area.remove();
        }
        atelier.toast("Copied.");
    };
})();
