// It looks for a tsconfig.json from its own folder upwards, and writes imports that Node.js can follow only if it finds one.
export default {
  input: "openapi.json",
  output: { path: "generated", tsConfigPath: `${process.cwd()}/tsconfig.json` },
};
