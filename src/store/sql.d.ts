/** A migration or statement that lies in a file of its own: `import text from "./x.sql" with { type: "text" }`. */
declare module "*.sql" {
  const text: string;
  export default text;
}
