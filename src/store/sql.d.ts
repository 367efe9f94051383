/** Files of SQL and Lua that are carried inside the program. */
declare module "*.sql" {
  const text: string;
  export default text;
}
