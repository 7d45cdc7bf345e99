// The tests run as compiled by `npm run build`: what is tested is what ships.
export default {
  // tfjs defines globals of its own, which Jest would otherwise warn of.
  testEnvironmentOptions: { globalsCleanup: 'off' },
  testEnvironment: '<rootDir>/dist/test/support/environment.js',
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {},
  testTimeout: 60_000,
  maxWorkers: 2,
};
