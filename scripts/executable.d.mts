export declare function findExecutable(...names: string[]): string | undefined
