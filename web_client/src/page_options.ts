/** What the page's address may ask for. Pure. */
export interface PageOptions {
  identity: string | null;
  /** Which system draws; null for the server's own. */
  system: string | null;
  /** Wanted look-ahead, 0 to 1000 ms, of which the system takes the nearest that it offers; null for the server's usual. */
  lookahead: number | null;
  idle: boolean;
  autostart: boolean;
  theme: "dark" | "light" | null;
}

/** Unknown and unusable values are as if absent. */
export function pageOptions(query: URLSearchParams): PageOptions {
  const lookahead = Number(query.get("lookahead") ?? Number.NaN);
  const theme = query.get("theme");
  return {
    identity: query.get("identity"),
    system: query.get("system"),
    lookahead: lookahead >= 0 && lookahead <= 1000 ? lookahead : null,
    idle: query.get("idle") !== "0",
    autostart: query.get("autostart") === "1",
    theme: theme === "dark" || theme === "light" ? theme : null,
  };
}
