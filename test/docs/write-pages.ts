/** Writes the generated regions of docs/ anew. Run it in the repository, built. */
import { writeFileSync } from 'node:fs';
import { pageGenerator, readPages } from './pages.js';

const pages = readPages('docs');
const generate = pageGenerator(pages, 'protocol');
for (const page of pages) writeFileSync(`docs/${page.file}`, generate(page));
