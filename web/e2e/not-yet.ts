// What the numbered rules of the console ask for beyond what there is. Each goes from here to a test with its number as
// soon as what it is about exists; `not-yet.test.ts` sees to it that every number is either here or has a test.
export const notYet: { rule: string; part?: string; why: string }[] = [
  {
    rule: "W06",
    part: "flags of cookies",
    why: "The console has no cookie; W01 shows that none is ever set.",
  },
  {
    rule: "W07",
    part: "WebSockets",
    why: "The server speaks none. A stream is asked for with a credential in a header, which no other origin can send.",
  },
  {
    rule: "W10",
    part: "links that are used once",
    why: "There are no links of invitation and none to reset a password: who adds a member hands on a first password.",
  },
];
