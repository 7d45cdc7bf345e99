import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** The doc comments of a schema as the source has them: its own, its fields', and its variants' in order. */
export interface Comments {
  text?: string | undefined;
  fields: Record<string, Comments>;
  variants: Comments[];
}

type Declaration = ts.VariableDeclaration | ts.ClassDeclaration;

/** Doc comments of the top-level constants and classes of a folder's TypeScript files, by name. */
export class SourceComments {
  readonly #declarations = new Map<string, Declaration>();

  constructor(folder: string) {
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts'))) {
      const path = join(folder, file);
      const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
      for (const statement of source.statements) {
        const declarations = ts.isVariableStatement(statement)
          ? statement.declarationList.declarations
          : ts.isClassDeclaration(statement)
            ? [statement]
            : [];
        for (const declaration of declarations)
          if (declaration.name && ts.isIdentifier(declaration.name))
            this.#declarations.set(declaration.name.text, declaration);
      }
    }
  }

  of(name: string): Comments {
    const declaration = this.#declarations.get(name);
    if (!declaration) return { fields: {}, variants: [] };
    if (ts.isClassDeclaration(declaration)) return { text: commentOf(declaration), fields: {}, variants: [] };
    const inner = this.#ofExpression(declaration.initializer);
    return { ...inner, text: commentOf(declaration.parent.parent) ?? inner.text };
  }

  /** Follows zod's calls, names and spreads down to object literals. */
  #ofExpression(node: ts.Expression | undefined): Comments {
    if (node === undefined) return { fields: {}, variants: [] };
    if (ts.isAsExpression(node)) return this.#ofExpression(node.expression);
    if (ts.isIdentifier(node)) return this.of(node.text);
    if (ts.isPropertyAccessExpression(node)) return this.#ofExpression(node.expression);
    if (ts.isArrayLiteralExpression(node))
      return { fields: {}, variants: node.elements.map((element) => this.#withOwn(element, element)) };
    if (ts.isObjectLiteralExpression(node)) return this.#ofObject(node);
    if (!ts.isCallExpression(node)) return { fields: {}, variants: [] };
    const inner = this.#ofExpression(node.arguments.at(-1));
    if (!ts.isPropertyAccessExpression(node.expression)) return inner;
    const { expression: receiver, name } = node.expression;
    if (ts.isIdentifier(receiver) && receiver.text === 'z') return inner;
    const base = this.#ofExpression(receiver);
    return name.text === 'extend' ? { ...base, fields: { ...base.fields, ...inner.fields } } : base;
  }

  #ofObject(node: ts.ObjectLiteralExpression): Comments {
    const fields: Record<string, Comments> = {};
    for (const property of node.properties)
      if (ts.isSpreadAssignment(property))
        Object.assign(fields, this.#ofExpression(property.expression).fields);
      else if (ts.isPropertyAssignment(property))
        fields[property.name.getText()] = this.#withOwn(property, property.initializer);
      else if (ts.isShorthandPropertyAssignment(property))
        fields[property.name.text] = this.of(property.name.text);
    return { fields, variants: [] };
  }

  #withOwn(node: ts.Node, expression: ts.Expression): Comments {
    const inner = this.#ofExpression(expression);
    // What a schema of its own says stands in its own section.
    const isNamed = ts.isIdentifier(expression) && expression.text.endsWith('Schema');
    return { ...inner, text: commentOf(node) ?? (isNamed ? undefined : inner.text) };
  }
}

/** The doc comment right before a node, as one line. */
function commentOf(node: ts.Node): string | undefined {
  const text = node.getSourceFile().text;
  const range = ts.getLeadingCommentRanges(text, node.getFullStart())?.at(-1);
  const comment = range && text.slice(range.pos, range.end);
  if (!comment?.startsWith('/**')) return undefined;
  return comment
    .slice(3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\*?\s*/, '').trim())
    .join(' ')
    .trim();
}
