// Switching tabs by name, and A1111's functions for it.
window.atelier = window.atelier || {};

atelier.tabs = {
    // Gradio keeps a second, hidden copy of each bar of tabs, to measure it.
    button(id) {
        const found = [...document.querySelectorAll(`[id="${id}-button"]`)];
        return found.find((button) => button.closest("[role=tablist]")) || found[0] || null;
    },
    open(id) {
        const button = this.button(id);
        if (button) {
            button.click();
            // On a phone the bar is wider than the page.
            button.scrollIntoView({block: "nearest", inline: "nearest"});
        }
        return Boolean(button);
    },
    // The name of the chosen tab among the given ones: that whose panel is shown, or whose button is pressed.
    chosen(ids) {
        return ids.find((id) => {
            const button = this.button(id);
            return button && button.getAttribute("aria-selected") === "true";
        }) || ids[0];
    },
    current() {
        const content = get_uiCurrentTabContent();
        return content ? content.id.replace(/^tab_/, "") : "";
    },
};

function get_tab_index(tabId) {
    const buttons = [...gradioApp().querySelectorAll(`#${tabId} .tab-nav > button`)];
    return Math.max(0, buttons.findIndex((button) => button.classList.contains("selected")));
}
function switch_to_txt2img() { atelier.tabs.open("tab_txt2img"); return Array.from(arguments); }
function switch_to_img2img_tab(number) {
    const names = ["img2img", "img2img_sketch", "inpaint", "inpaint_sketch", "inpaint_upload"];
    atelier.tabs.open("tab_img2img");
    atelier.tabs.open(`img2img_${names[number] || "img2img"}_tab`);
}
function switch_to_img2img() { switch_to_img2img_tab(0); return Array.from(arguments); }
function switch_to_sketch() { switch_to_img2img_tab(1); return Array.from(arguments); }
function switch_to_inpaint() { switch_to_img2img_tab(2); return Array.from(arguments); }
function switch_to_inpaint_sketch() { switch_to_img2img_tab(3); return Array.from(arguments); }
function switch_to_extras() { atelier.tabs.open("tab_extras"); return Array.from(arguments); }
