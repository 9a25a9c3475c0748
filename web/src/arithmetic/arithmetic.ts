/** Everything that the pages compute themselves, under one name for the tests. */
export * from "./elements";
