/**
 * The copy button beside the completion code.
 *
 * The clipboard is there on https and localhost only; elsewhere the code is selected, ready for the person's own copy.
 */
export function offerCopy() {
  const code = document.getElementById('completion-code');
  const result = document.getElementById('copy-result');
  document.getElementById('copy-code').addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      result.textContent = 'Copied.';
    } catch {
      getSelection().selectAllChildren(code);
      result.textContent = 'The code is selected: copy it with Ctrl+C, or ⌘C on a Mac.';
    }
  });
}
