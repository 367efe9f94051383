// The generator searches its folder and the folders above for a tsconfig.json. Without one it writes imports that Node.js cannot resolve.
export default {
  input: "openapi.json",
  output: { path: "generated", tsConfigPath: `${process.cwd()}/tsconfig.json` },
};
