"""Somebody without a mouse."""

from typing import Any

from playwright.sync_api import Locator, Page, expect

# What can be operated and is in sight: of radio buttons with one name, the one that Tab stops at.
CONTROLS = """
  const controls = () => {
    const found = document.querySelectorAll(
      'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex="-1"])');
    const isStop = (radio) => {
      const group = [...found].filter((each) => each.type === 'radio' && each.name === radio.name);
      return radio === (group.find((each) => each.checked) ?? group[0]);
    };
    return [...found].filter((each) =>
      each.checkVisibility() && !each.matches(':disabled') && (each.type !== 'radio' || isStop(each)));
  };
  const look = (element) => {
    const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(element);
    return [outlineStyle, outlineStyle === 'none' || [outlineWidth, outlineColor], boxShadow, borderColor].join();
  };
  const name = (element) => element.outerHTML.split('>')[0] + '> ' + element.textContent.trim().slice(0, 40);
"""

# Nothing is fetched anew while somebody walks through the page, from its top.
_BEGIN = (
    "() => {"
    + CONTROLS
    + """
  document.body.addEventListener('htmx:beforeRequest', (event) => event.preventDefault());
  const walk = window.walk = { controls: controls(), met: [], invisible: [] };
  document.activeElement.blur();
  const looks = new Map(walk.controls.map((each) => [each, look(each)]));
  const top = document.createElement('span');
  top.tabIndex = 0;
  document.body.prepend(top);
  top.focus();
  top.remove();
  document.addEventListener('focusin', ({ target }) => {
    walk.met.push(target);
    if (looks.get(target) === look(target)) walk.invisible.push(name(target));
  });
  return walk.controls.length;
}"""
)

_END = (
    "() => {"
    + CONTROLS
    + """
  const { controls: all } = window.walk, met = [...window.walk.met], invisible = [...window.walk.invisible];
  const isCovered = (element) => {
    element.focus();
    const [{ left, top, width, height }] = element.getClientRects();
    const at = document.elementFromPoint(left + width / 2, Math.min(top + height / 2, innerHeight - 1));
    return !(at && (element.contains(at) || at.contains(element) || element.labels?.[0]?.contains(at)));
  };
  return {
    unreachable: all.filter((each) => !met.includes(each)).map(name),
    invisible,
    covered: all.filter(isCovered).map(name),
    disorder: met.map(name).filter((_, place) =>
      place && !(met[place - 1].compareDocumentPosition(met[place]) & Node.DOCUMENT_POSITION_FOLLOWING)),
  };
}"""
)


def kept_from_the_keyboard(page: Page) -> dict[str, list[str]]:
    """What is wrong where Tab should stop at every control of the page, in the order in which they are read, and
    everybody should see where it is."""
    for _ in range(page.evaluate(_BEGIN)):
        page.keyboard.press("Tab")
    found: dict[str, Any] = page.evaluate(_END)
    return {problem: controls for problem, controls in found.items() if controls}


_STOPS_TO = (
    "(target) => {"
    + CONTROLS
    + """
  const from = document.activeElement;
  const isBefore = (one, other) => one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
  const isAhead = isBefore(from, target);
  const stops = controls().filter((each) => isAhead
    ? isBefore(from, each) && !isBefore(target, each)
    : isBefore(each, from) && !isBefore(each, target)).length;
  return isAhead ? stops : 0 - stops;
}"""
)


class Keyboard:
    """Goes from control to control with Tab and Shift+Tab alone, and operates them as they stand."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def go_to(self, control: Locator) -> None:
        """As many stops on, or back, as there are controls on the way."""
        stops: int = control.evaluate(_STOPS_TO)
        for _ in range(abs(stops)):
            self._page.keyboard.press("Tab" if stops > 0 else "Shift+Tab")
        expect(control).to_be_focused()

    def operate(self, control: Locator, key: str = "Enter") -> None:
        self.go_to(control)
        self._page.keyboard.press(key)

    def type(self, control: Locator, text: str) -> None:
        """In place of what is there: Tab selects it."""
        self.go_to(control)
        self._page.keyboard.type(text)

    def follow(self, name: str) -> None:
        """A link or a button by its name."""
        exactly: dict[str, Any] = {"name": name, "exact": True}
        self.operate(self._page.get_by_role("link", **exactly).or_(self._page.get_by_role("button", **exactly)).first)
