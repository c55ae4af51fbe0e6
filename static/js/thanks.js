import { offerCopy } from './completion_code.js';

offerCopy();
