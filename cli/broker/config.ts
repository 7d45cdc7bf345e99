/** Settings of a private broker. All paths are absolute. */
export interface PrivateBrokerConfig {
  token: string;
  /** Where the server tells its port, as a `.ports` file. */
  portsFolder: string;
  storeFolder: string;
  logFile: string;
  pidFile: string;
}

/**
 * The nats-server configuration: JetStream on, loopback only, a port of the kernel's choice, a token.
 * `max_payload` stays at the server's 1 MB and file storage at its three quarters of the free disk.
 */
export function privateBrokerConfig(config: PrivateBrokerConfig): string {
  // JSON strings are valid in nats-server's format: the same quotes and escapes.
  const quote = (text: string) => JSON.stringify(text);
  return `listen: "127.0.0.1:-1"
authorization { token: ${quote(config.token)} }
ports_file_dir: ${quote(config.portsFolder)}
pid_file: ${quote(config.pidFile)}
log_file: ${quote(config.logFile)}
jetstream {
  store_dir: ${quote(config.storeFolder)}
  max_memory_store: 256MB
}
`;
}
