/** Waits until something holds; asks again and again, and says what did not come to be. */
export async function until(
  what: string,
  within: number,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + within;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`after ${within} ms still not: ${what}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}
