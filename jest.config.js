// The tests run as compiled by `npm run build`: what is tested is what ships.
export default {
  testEnvironment: '<rootDir>/dist/test/support/environment.js',
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {},
  testTimeout: 60_000,
  maxWorkers: 2,
};
