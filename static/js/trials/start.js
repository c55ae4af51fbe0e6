/** The trials, where the browser can show them: the consent page has asked, but a link is opened in others, too. */
import { browserObstacle } from '../browser_support.js';
import { showMessage } from './views.js';

const obstacle = browserObstacle();
if (obstacle) {
  showMessage({ title: 'This browser is too old', text: obstacle, isWorthReloading: false });
} else {
  import('./main.js').catch((error) => {
    console.error(error);
    showMessage({
      title: 'Something went wrong',
      text: 'This page has not loaded completely. Please reload it: it goes on where you were.',
      isWorthReloading: true,
    });
  });
}
