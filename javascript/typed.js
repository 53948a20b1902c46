// What a person changes while the server's values for the controls are on their way: it is put back when they arrive.
window.atelier = window.atelier || {};

(function () {
    // By field: what it held after the last change, and when that was.
    const changed = new Map();
    const begun = {page: 0};

    const read = (field) => (field.type === "checkbox" ? field.checked : field.value);

    function write(field, value) {
        if (field.type === "checkbox") return field.click();
        field.value = value;
        updateInput(field);
    }

    document.addEventListener("input", (event) => {
        // What is typed into the box of a dropdown is no value, only a search among its choices.
        const field = event.target;
        if (field.matches && field.matches("textarea, input:not([role=listbox])")) changed.set(field, {value: read(field), time: performance.now()});
    }, true);

    atelier.typed = {
        // Values are asked for; `what` names the question. Of a page that opens they are asked for from the first moment.
        begin(what) { begun[what] = performance.now(); },

        // They are on the controls: what was changed since then, in fields that match, comes back.
        putBack(what, selector = "*") {
            for (const [field, {value, time}] of [...changed]) {
                if (!field.isConnected) changed.delete(field);
                else if (time >= begun[what] && field.closest(selector) && read(field) !== value) write(field, value);
            }
        },
    };
})();
