/** The end of a received message: the broker may forget it, or it may deliver it again, here or to another process. */
export type Disposition = "acknowledge" | "return";
