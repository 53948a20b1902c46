// Accordions with a checkbox in their head: ticked is open and in use. For our own and for those of extensions.
(function () {
    function checkbox(accordion) {
        return document.querySelector(`#${CSS.escape(accordion.id)}-checkbox input[type=checkbox]`);
    }

    function open(accordion, wanted) {
        const head = accordion.querySelector(":scope > .label-wrap, :scope > * > .label-wrap, .label-wrap");
        if (head && head.classList.contains("open") !== wanted) head.click();
    }

    window.setupAccordion = function (accordion) {
        const real = checkbox(accordion);
        const head = accordion.querySelector(".label-wrap");
        if (!real || !head || accordion.visibleCheckbox) return;
        const visible = atelier.make("input", {type: "checkbox", id: `${accordion.id}-visible-checkbox`, class: "input-accordion-checkbox-head"});
        accordion.visibleCheckbox = visible;
        visible.checked = real.checked;
        visible.addEventListener("click", (event) => event.stopPropagation());
        accordion.onVisibleCheckboxChange = () => {
            if (real.checked !== visible.checked) real.click();
            open(accordion, visible.checked);
        };
        visible.addEventListener("input", () => accordion.onVisibleCheckboxChange());
        head.insertBefore(visible, head.firstChild);
        // Opening and closing by the head ticks and unticks, as in A1111.
        new MutationObserver(() => {
            const isOpen = head.classList.contains("open");
            if (visible.checked !== isOpen) {
                visible.checked = isOpen;
                if (real.checked !== isOpen) real.click();
            }
        }).observe(head, {attributes: true, attributeFilter: ["class"]});
        follow(accordion, real, visible);
    };

    // Values that arrive from the server change the hidden checkbox without an event.
    function follow(accordion, real, visible) {
        let last = real.checked;
        onUiUpdate(() => {
            const now = checkbox(accordion);
            if (now && now.checked !== last) {
                last = now.checked;
                if (visible.checked !== last) {
                    visible.checked = last;
                    open(accordion, last);
                }
            }
        });
    }

    window.inputAccordionChecked = function (id, checked) {
        const accordion = document.getElementById(id);
        if (!accordion || !accordion.visibleCheckbox) return;
        accordion.visibleCheckbox.checked = checked;
        accordion.onVisibleCheckboxChange();
    };

    function all() {
        for (const accordion of gradioApp().querySelectorAll(".input-accordion")) setupAccordion(accordion);
    }
    onUiLoaded(all);
    onAfterUiUpdate(all);
})();
