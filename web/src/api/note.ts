/** The parameters of a write that say why it is made; a header would not take every letter. */
export type Note = { message?: string };

export const noteOf = (why: string): Note => (why.trim() === "" ? {} : { message: why.trim() });
