import { describe, expect, it } from '@jest/globals';
import { hasOpenRegion, namedSchemas, pageGenerator, readPages, shownSchemas } from './pages.js';

const pages = readPages('docs');
const generate = pageGenerator(pages, 'protocol');

describe('docs/', () => {
  it.each(pages)(
    '$file: its generated tables are those of the protocol (mend with `node dist/test/docs/write-pages.js`)',
    (page) => {
      expect(page.text).toBe(generate(page));
      expect(hasOpenRegion(page.text)).toBe(false);
    },
  );

  it('pages: every schema of the protocol is shown on one', () => {
    // Plain values, described in words.
    const scalars = ['name', 'sha256', 'layerName', 'shape'];
    expect([...shownSchemas(pages).keys(), ...scalars].sort()).toEqual([...namedSchemas().keys()].sort());
  });

  it.each(pages)('$file: every link within docs/ leads to a heading', ({ file, text }) => {
    for (const [, target, anchor] of text.matchAll(/\]\(([\w-]+\.md)?#([^)]+)\)/g)) {
      const page = pages.find((other) => other.file === (target ?? file));
      expect(headings(page?.text ?? '')).toContain(anchor);
    }
  });
});

/** Anchors as GitHub makes them. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}
