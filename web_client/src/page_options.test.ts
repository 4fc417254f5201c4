import { expect, test } from "vitest";

import { pageOptions } from "./page_options";

test("the address chooses face, system, look-ahead, idle life and an immediate start", () => {
  expect(
    pageOptions(new URLSearchParams("identity=ada&system=tavce&lookahead=80&idle=0&autostart=1&theme=dark")),
  ).toEqual({
    ...{ identity: "ada", system: "tavce", lookahead: 80, idle: false, autostart: true, theme: "dark" },
  });
});

test.each(["", "lookahead=soon&theme=pink&autostart=yes", "lookahead=-1", "lookahead=1001"])(
  "unusable values are as if absent: %s",
  (query) => {
    expect(pageOptions(new URLSearchParams(query))).toEqual({
      ...{ identity: null, system: null, lookahead: null, idle: true, autostart: false, theme: null },
    });
  },
);
