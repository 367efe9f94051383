// The address is written into the client.
export default {
  tasktrack: {
    input: "openapi.json",
    output: { target: "generated/client.ts", client: "fetch", baseUrl: process.env.TASKTRACK_URL },
  },
};
