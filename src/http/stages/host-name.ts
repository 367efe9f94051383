/** The name in a Host, without the port, the brackets of IPv6, and the dot at the end of a full name. */
export function hostName(host: string): string {
  const name = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  return name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
}
